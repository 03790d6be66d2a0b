"""Requests to a scripted server, and a clock in which only sleeping passes."""

from __future__ import annotations

import asyncio
import re
from random import Random

import answering
from answering import said

from ruie import asking
from ruie.asking import Times
from ruie.backends import Request, Settings
from ruie.endpoint import Endpoint

SETTINGS = Settings("endpoint", "m", max_new=9, seed=5)
#: The time of day that the server's clock and ours agree on.
NOON = 1_700_000_000.0


class Slept:
    """Times in which only sleeping passes."""

    def __init__(self):
        self.at, self.pauses = 0.0, []
        self.times = Times(lambda: self.at, lambda: NOON + self.at, self.sleep, Random(1))

    async def sleep(self, seconds):
        self.pauses.append(seconds)
        self.at += seconds
        await asyncio.sleep(0)


def requests(n):
    return [Request("Do it.", [], f"Input: sentence {i}.\nOutput:") for i in range(n)]


def text_of(i):
    return f"Do it.\n\nInput: sentence {i}.\nOutput:"


def number(request):
    """Of the sentence."""
    return int(re.findall(r"[0-9]+", answering.prompt_of(request))[-1])


def ask(tmp_path, script, n=1, slept=None, settings=SETTINGS, **more):
    """The answers to n requests, and the server that was asked."""
    with answering.serving(script) as server:
        where = Endpoint(server.url, **more)
        times = (slept or Slept()).times
        return asking.answer(where, settings, requests(n), tmp_path / "journal", times), server


def first(*steps, then=None):
    """A script: these responses to the first requests of a prompt, then a good one."""

    def script(request, before):
        return steps[before] if before < len(steps) else (then or said("None"))

    return script
