"""What is asked of an OpenAI-compatible endpoint, and where; how: ruie/asking.py.

The endpoint is a hosted model, or one's own `vllm serve`. The key is read from the environment and
stands in a header of the requests, nowhere else.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from ruie import backends, cli, encoders
from ruie.backends import Settings

#: Without a tokenizer: UTF-8 bytes that are taken for a token, and the tokens of a chat template.
BYTES, TEMPLATE = 3, 32


@dataclass(frozen=True)
class Endpoint:
    """Where a model is asked, and how. ``key``: name of the environment variable that holds the
    key; ``tokenizer``: folder or hub id, to count tokens with; ``deadline``: seconds for a request,
    all its ``tries`` included; ``prices`` of a million tokens: of prompt, of answer, and of prompt
    that the server had in its cache; ``extra``: what the requests' JSON says besides."""

    url: str
    key: str | None = None
    tokenizer: str | None = None
    concurrency: int = 8
    deadline: float = 300.0
    tries: int = 6
    prices: tuple[float, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def check(endpoint: Endpoint) -> None:
    """``UserError`` for an address that may not be used, above all one that would send a key in
    the clear."""
    try:
        parts = urlsplit(endpoint.url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.username is not None:
        raise cli.UserError(
            f"endpoint at {host}: the address holds a user name; put the key into a variable of "
            "the environment and its name into `key`"
        )
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise cli.UserError("endpoint: must be http(s)://host/path and nothing else; mend it")
    if endpoint.key is not None and parts.scheme == "http" and not is_loopback(host):
        raise cli.UserError(f"{endpoint.url}: a key is sent over https alone; mend the address")


def secret(endpoint: Endpoint) -> str | None:
    """The key, if one is named. ``UserError`` where the environment holds none that can be sent."""
    check(endpoint)
    if endpoint.key is None:
        return None
    found = os.environ.get(endpoint.key, "").strip()
    if not found:
        raise cli.UserError(f"{endpoint.key}: not set; export it with the key of {endpoint.url}")
    if not (found.isascii() and found.isprintable()) or " " in found:
        raise cli.UserError(f"{endpoint.key}: holds characters that no key has; set it anew")
    return found


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(endpoint: Endpoint, settings: Settings) -> str:
    path = "/chat/completions" if settings.chat else "/completions"
    return endpoint.url.rstrip("/") + path


def body(endpoint: Endpoint, settings: Settings, text: str) -> dict[str, Any]:
    """The JSON of a request; a null in ``extra`` takes a field away."""
    asked = {"messages": [{"role": "user", "content": text}]} if settings.chat else {"prompt": text}
    whole = {
        "model": settings.model, **asked, "temperature": 0, "max_tokens": settings.max_new,
        "stop": list(settings.stop) or None, "seed": settings.seed, **endpoint.extra,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not None}


def counter(endpoint: Endpoint, settings: Settings) -> Callable[[str], int]:
    """How many tokens a prompt has: by the tokenizer, else a cautious estimate."""
    template = TEMPLATE if settings.chat else 0
    if endpoint.tokenizer is None:
        return lambda text: -(-len(text.encode("utf-8", "replace")) // BYTES) + template
    from transformers import AutoTokenizer

    tokenizer = encoders.from_pretrained(AutoTokenizer, endpoint.tokenizer)
    if settings.chat and not tokenizer.chat_template:
        return lambda text: len(backends.token_ids(tokenizer, False, text)) + template
    return lambda text: len(backends.token_ids(tokenizer, settings.chat, text))


def _prices(text: str) -> tuple[str, tuple[float, ...]]:
    """``NAME=PROMPT,COMPLETION`` or ``NAME=PROMPT,COMPLETION,CACHED``."""
    name, sign, rest = text.partition("=")
    try:
        prices = tuple(map(float, rest.split(",")))
    except ValueError:
        prices = ()
    if not sign or len(prices) not in (2, 3) or not all(0 <= p < math.inf for p in prices):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=PROMPT,COMPLETION")
    return name, prices


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is none of JSON's")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("is no JSON object")
    return found


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def add_prices(p: cli.Parser) -> None:
    """The flag of what tokens cost, of all LLMs: each job takes the entry of its own."""
    p.add_argument(
        "--prices", type=_prices, nargs="*", default=[], metavar="LLM=PROMPT,COMPLETION[,CACHED]",
        help="of a million tokens",
    )  # fmt: skip


def add_arguments(p: cli.Parser) -> None:
    """Flags of an ``Endpoint``."""
    p.add_argument("--endpoint", metavar="URL",
                   help="ask this OpenAI-compatible address for --model; no --backend")  # fmt: skip
    p.add_argument("--key", metavar="VARIABLE", help="environment variable with the key")
    p.add_argument("--tokenizer", help="folder or hub id, to count tokens for --max-input")
    p.add_argument("--extra", type=_object, default={}, metavar="JSON",
                   help="more fields of a request; null takes one away")  # fmt: skip
    p.add_argument("--concurrency", type=cli.positive, default=8, help="requests at a time")
    p.add_argument("--deadline", type=_seconds, default=300.0,
                   help="seconds for a request, all tries included (%(default)s)")  # fmt: skip
    p.add_argument("--tries", type=cli.positive, default=6, help="of a request (%(default)s)")
    add_prices(p)


def settings(args: Any) -> tuple[Endpoint, Settings] | None:
    """What the flags say, None where they name no endpoint. ``UserError`` for what it cannot do."""
    if args.endpoint is None:
        return None
    if args.constrained:
        raise cli.UserError("--constrained: not with --endpoint, which cannot be held to a grammar")
    prices = dict(args.prices).get(args.llm, ())
    where = Endpoint(args.endpoint, args.key, args.tokenizer, args.concurrency, args.deadline,
                     args.tries, prices, args.extra)  # fmt: skip
    # a folder of that name is none of its business
    return where, replace(backends.settings(args), backend="endpoint", model=args.model)
