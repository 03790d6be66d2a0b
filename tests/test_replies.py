"""What a server's response means, and what a journal may give back."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import replies
from ruie.cli import UserError
from ruie.replies import Again, Reply

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def read(status: int, body: bytes | str, **headers: str) -> Reply:
    data = body.encode() if isinstance(body, str) else body
    return replies.read(httpx2.Response(status, content=data, headers=headers), 0.0, "secret")


def chat(content: Any, reason: str | None = "stop", **more: Any) -> str:
    choice = {"message": {"content": content, **more}, "finish_reason": reason}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})


def test_an_answer() -> None:
    assert read(200, chat("person: Bob.")) == Reply("person: Bob.", "stop", 7, 2)
    # a key that the server repeats does not get into the predictions
    assert read(200, chat("person: secret.")).text == "person: ***."
    # also of the interface for completions, and without usage
    assert read(200, '{"choices": [{"text": "a"}]}') == Reply("a", "unknown", None, None)


def test_what_is_no_answer_is_an_error_and_no_empty_answer() -> None:
    assert read(200, chat(None, "content_filter")).error == replies.FILTERED
    refused = read(200, chat("", refusal="I cannot"))
    assert (refused.text, bool(refused.error)) == ("", True)
    assert read(200, chat("")).error is None, "an empty text that nothing explains is an answer"


@pytest.mark.parametrize("status", [*replies.PASSING, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again(status: int) -> None:
    with pytest.raises(Again):
        read(status, "busy")


@pytest.mark.parametrize("status", replies.FATAL)
def test_what_every_request_would_get_stops_the_run(status: int) -> None:
    with pytest.raises(UserError) as error:
        read(status, "no, secret is wrong\nsecond line")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@given(body=st.binary(max_size=60) | VALUES.map(json.dumps) | VALUES.map(chat))
def test_any_body_is_an_answer_or_asked_again(body: bytes | str) -> None:
    try:
        reply = read(200, body)
    except Again:
        return
    reply.text.encode()  # or no table could hold it
    assert reply.error is None or reply.text == ""


@given(kept=VALUES)
def test_a_journal_gives_back_a_reply_or_nothing(kept: Any) -> None:
    assert replies.restored(kept) is None


@given(reply=st.builds(Reply, st.text(), st.text(), st.none() | st.integers(0, 9)))
def test_a_kept_reply_comes_back(reply: Reply) -> None:
    assert replies.restored(json.loads(json.dumps(vars(reply)))) == reply
