"""Ask an endpoint: requests side by side, tries, deadlines, and answers kept as they come.

A request has a deadline for all its tries. What may pass is asked again with growing pauses, what
concerns one request becomes that answer's error, and what every request would get ends the run:
docs/endpoints.md.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ruie import backends, cli, endpoint, journal, prompt, replies
from ruie.backends import Answer, Request, Settings
from ruie.endpoint import Endpoint
from ruie.journal import Journal
from ruie.replies import Again, Reply

if TYPE_CHECKING:
    import httpx2

#: Seconds. The pause before the n-th new try is between the half and the whole of 2^n, up to this.
LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Times:
    """Clocks and chance, which tests replace."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Random = field(default_factory=Random)


@dataclass
class Asking:
    """The requests of one job: what came of them, by the digest of each, and what was retried."""

    endpoint: Endpoint
    settings: Settings
    hidden: str | None = field(repr=False)
    client: httpx2.AsyncClient
    times: Times
    journal: Journal
    done: dict[str, Reply] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    given_up: int = 0  # requests in a row

    async def all(self, todo: dict[str, dict[str, Any]]) -> None:
        """Ask, ``concurrency`` at a time. ``UserError`` as soon as going on makes no sense."""
        waiting = iter(todo.items())
        finished = cli.progress(todo, len(todo), "answers")
        next(finished, None)
        faults: list[cli.UserError] = []

        async def worker() -> None:
            for name, request in waiting:
                self.done[name] = await self.one(request)
                if self.done[name].error is None:
                    self.journal.add(name, asdict(self.done[name]))
                next(finished, None)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.endpoint.concurrency):
                    group.create_task(worker())
        except* cli.UserError as caught:
            faults += [e for e in caught.exceptions if isinstance(e, cli.UserError)]
        if faults:
            raise faults[0]

    async def one(self, request: dict[str, Any]) -> Reply:
        """The reply after as many tries as its deadline and ``tries`` allow, or why there is none.

        A try may take half of the time that is left, the last one all of it: what hangs is asked
        again in time."""
        times, tries = self.times, self.endpoint.tries
        limit = times.clock() + self.endpoint.deadline
        for n in range(1, tries + 1):
            left = limit - times.clock()
            try:
                async with asyncio.timeout(left / 2 if n < tries else left):
                    reply = await self.attempt(request)
                self.given_up = 0
                return reply
            except TimeoutError:
                fault = Again("time-out")
            except Again as error:
                fault = error
            pause = min(2.0**n, LONGEST_PAUSE) * times.random.uniform(0.5, 1)
            pause = max(pause, fault.wait)
            if n == tries or times.clock() + pause >= limit:
                break
            self.retries[fault.kind] += 1
            await times.sleep(pause)
        why = f"{fault.kind}, given up after {n} of {tries} tries"
        if n < tries:
            why += f": the deadline of {self.endpoint.deadline:g} s leaves no time for another"
        why += f"; {fault.what}" if fault.what else ""
        self.given_up += 1
        if self.given_up >= max(16, 2 * self.endpoint.concurrency):
            raise cli.UserError(
                f"{self.endpoint.url}: {self.given_up} requests in a row came to nothing, the last "
                f"by {why}; run again later: finished answers are kept"
            )
        return Reply("", "error", error=why)

    async def attempt(self, request: dict[str, Any]) -> Reply:
        import httpx2

        try:
            response = await self.client.post(
                endpoint.address(self.endpoint, self.settings), json=request
            )
        except httpx2.RequestError as error:
            what = " ".join(str(error).split())
            if "CERTIFICATE_VERIFY_FAILED" in what:
                raise cli.UserError(f"{self.endpoint.url}: {what}; mend the address") from None
            raise Again("connection", what=what) from None
        try:
            return replies.read(response, self.times.now(), self.hidden)
        except cli.UserError as error:
            raise cli.UserError(f"{self.endpoint.url}: {error}") from None


def ask(
    where: Endpoint, settings: Settings, todo: dict[str, dict[str, Any]], kept: Journal,
    times: Times,
) -> Asking:  # fmt: skip
    """What comes of the requests. The client checks certificates and follows no redirect; proxies
    are the environment's, but for loopback, which needs none."""
    import httpx2

    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it writes a line for each request
    key, host = endpoint.secret(where), urlsplit(where.url).hostname or ""

    async def run() -> Asking:
        async with httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=None,
            limits=httpx2.Limits(max_connections=where.concurrency),
            trust_env=not endpoint.is_loopback(host), follow_redirects=False,
        ) as client:  # fmt: skip
            asking = Asking(where, settings, key, client, times, kept)
            await asking.all(todo)
            return asking

    return asyncio.run(run())


def answer(
    where: Endpoint, settings: Settings, requests: Sequence[Request], path: Path,
    times: Times | None = None,
) -> list[Answer]:  # fmt: skip
    """Answers in the requests' order, as ``backends.answer`` gives them. Those that the journal at
    ``path`` holds are not asked for again, nor is the same prompt twice."""
    count, built, todo = endpoint.counter(where, settings), [], {}
    for r in requests:
        text, used = prompt.fit(r.instruction, r.demonstrations, r.query, count, settings.max_input)
        body, tokens = endpoint.body(where, settings, text), count(text)
        name = journal.key([endpoint.address(where, settings), body])
        # what is only estimated refuses nothing: the server knows
        if tokens <= settings.max_input or where.tokenizer is None:
            todo[name] = body
        built.append((name, tokens, used))
    kept = Journal(path)
    try:
        before = {name: replies.restored(kept.kept.get(name)) for name in todo}
        found = {name: reply for name, reply in before.items() if reply}
        cli.log.info("%d requests, %d of them answered before (%s)", len(todo), len(found), path)
        if kept.odd:
            cli.log.warning("%s: %d lines could not be read; asked again", path, kept.odd)
        left = {name: request for name, request in todo.items() if name not in found}
        asking = ask(where, settings, left, kept, times or Times())
    finally:
        kept.close()
    found |= asking.done
    report(where, list(found.values()), asking.retries)
    out = []
    for name, tokens, used in built:
        if name not in found:
            why = backends.too_long(tokens, settings.max_input)
            out.append(Answer("", used, tokens, 0, "error", why))
            continue
        reply = found[name]
        text = reply.text
        for stop in settings.stop:  # for a server that passes `stop` over
            text = text.partition(stop)[0]
        tokens = tokens if reply.prompt_tokens is None else reply.prompt_tokens
        new = reply.completion_tokens
        if new is None:
            # what a prompt has besides its text is none of the answer's; the end token is
            new = count(text) - count("") + (reply.finish_reason == "stop")
        out.append(Answer(text.strip(), used, tokens, new, reply.finish_reason, reply.error))
    return out


def report(where: Endpoint, found: list[Reply], retries: Counter[str]) -> None:
    """Tokens and cost of all answers, those of before included, and what was asked again."""
    prompt_tokens = sum(r.prompt_tokens or 0 for r in found)
    completion_tokens = sum(r.completion_tokens or 0 for r in found)
    cached = sum(min(r.cached, r.prompt_tokens or 0) for r in found)
    cost = ""
    if where.prices:
        price = (*where.prices, where.prices[0])  # what is cached costs as much if nothing is said
        parts = (prompt_tokens - cached, completion_tokens, cached)
        cost = f"; cost {sum(n * p for n, p in zip(parts, price, strict=False)) / 1e6:.4f}"
    unknown = sum(r.error is None and r.prompt_tokens is None for r in found)
    cli.log.info(
        "by the server's count %d prompt tokens (%d of them cached) and %d completion tokens%s; %d "
        "answers without a count; retries: %s", prompt_tokens, cached, completion_tokens, cost,
        unknown, ", ".join(f"{n} {kind}" for kind, n in sorted(retries.items())) or "none",
    )  # fmt: skip
