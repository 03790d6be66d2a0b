"""What a response of an OpenAI-compatible server says: an answer, an error, or to ask again."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from ruie import cli

if TYPE_CHECKING:
    import httpx2

#: Statuses that may pass; all of 500 and above may, too.
PASSING = (408, 409, 425, 429)
#: Statuses that every request would get, and what to do.
FATAL = {
    401: "the key is not accepted, or one is needed; mend the variable that `key` names",
    402: "the account has no credit left; top it up and run again",
    403: "access is refused; mend the key's rights, or the model's name",
    404: "no such address or model; mend `endpoint` or `name`",
    405: "no such interface there; mend `endpoint`, which ends in /v1 as a rule",
}
#: How servers put it that a filter refused a prompt (statuses 400 and 403).
_FILTER = re.compile(
    r"content.?(filter|policy|management policy|exists risk)|data_inspection_failed|moderation",
    re.I,
)
FILTERED = "the endpoint's content filter withheld the answer"
#: Reasons to end that mean a server in trouble and no answer.
_BROKEN_OFF = ("insufficient_system_resource", "abort", "error")
#: Where servers put what is no answer: why the model refuses, and what it thinks.
ELSEWHERE = ("refusal", "reasoning_content", "reasoning")
LONGEST = 300  # characters of a server's message that are shown
_INT32 = 2**31


@dataclass(frozen=True)
class Reply:
    """``prompt_tokens`` and ``completion_tokens`` as the server counts them, None where it does
    not say; ``cached``: prompt tokens that it did not have to compute."""

    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached: int = 0
    error: str | None = None


def restored(kept: Any) -> Reply | None:
    """A reply that a journal kept; None where it is none, or not of this form."""
    if not isinstance(kept, dict) or set(kept) != {f.name for f in fields(Reply)}:
        return None
    reply = Reply(**kept)
    counts = (reply.prompt_tokens, reply.completion_tokens)
    numbers = [reply.cached, *(n for n in counts if n is not None)]
    sound = (
        all(
            # what UTF-8 cannot hold, a table cannot
            isinstance(said, str) and said.encode("utf-8", "replace").decode() == said
            for said in (reply.text, reply.finish_reason)
        )
        and all(_is_count(n) for n in numbers)
        and reply.error is None
    )
    return reply if sound else None


class Again(Exception):
    """A fault that may pass. ``kind``: how it is counted; ``wait``: seconds that the server asks
    for; ``what`` it says."""

    def __init__(self, kind: str, wait: float = 0.0, what: str = "") -> None:
        super().__init__(kind)
        self.kind, self.wait, self.what = kind, wait, what


def read(response: httpx2.Response, now: float, hidden: str | None = None) -> Reply:
    """The reply in a response. ``Again`` for one that may pass, ``UserError`` for one that every
    request would get. ``now``: the time of day, for a Retry-After that is a date; ``hidden``: what
    must not be repeated, for a server may quote the key."""
    status, body = response.status_code, response.content.decode("utf-8", "replace")

    def shown(text: str) -> str:
        return text.replace(hidden, "***") if hidden else text

    def line(text: str) -> str:
        text = " ".join(shown(text).encode("utf-8", "replace").decode().split())
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

    what = line(_message(body))
    if status // 100 == 2:
        reply = _reply(body, what, line)
        return replace(reply, text=shown(reply.text))
    if status in (400, 403) and _FILTER.search(body):
        return Reply("", "content_filter", error=FILTERED)
    if status in FATAL:
        raise cli.UserError(f"HTTP {status}: {FATAL[status]}")
    if status < 400:
        raise cli.UserError(
            f"HTTP {status}: it sends elsewhere, which is not followed; give the final address"
        )
    if status in PASSING or status >= 500:
        raise Again(f"HTTP {status}", retry_after(response.headers.get("retry-after"), now), what)
    return Reply("", "error", error=f"HTTP {status}: {what}")


def retry_after(value: str | None, now: float) -> float:
    """Seconds that a Retry-After header asks to wait, 0 where there is none or it is garbled."""
    value = (value or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        return max(date.replace(tzinfo=date.tzinfo or datetime.UTC).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _reply(body: str, what: str, line: Callable[[str], str]) -> Reply:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Again("invalid JSON", what=what) from None
    try:
        choice = data["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        reason = choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError):
        raise Again("answer of another form", what=what) from None
    reason = line(reason) if isinstance(reason, str) and reason else "unknown"
    if reason in _BROKEN_OFF:
        raise Again("broken off", what=reason)
    usage = data.get("usage")
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    cached = _count(details, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens") or 0
    error = None
    if reason == "content_filter":
        error = FILTERED
    elif not isinstance(text, str) or (not text.strip() and _is_elsewhere(choice)):
        # a refusal, or a model whose thinking took all its tokens: not an empty answer
        error = f"the answer holds no text (finish_reason {reason})"
    # what UTF-8 cannot hold, a table cannot
    text = "" if error else text.encode("utf-8", "replace").decode()
    return Reply(text, reason, prompt, completion, cached, error)


def _is_elsewhere(choice: dict[str, Any]) -> bool:
    """Whether all that the model said stands in a field of its own: some servers leave the text
    empty instead of null."""
    message = choice.get("message")
    return isinstance(message, dict) and any(
        isinstance(said := message.get(name), str) and said.strip() for name in ELSEWHERE
    )


def _count(found: Any, name: str) -> int | None:
    value = found.get(name) if isinstance(found, dict) else None
    return value if _is_count(value) else None


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _INT32


def _message(body: str) -> str:
    """The message of an error's JSON, or the body itself."""
    try:
        error = json.loads(body)["error"]
        body = error["message"] if isinstance(error, dict) else error
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return str(body)
