"""What every command line of the package shares: errors for users, logging, progress."""

from __future__ import annotations

import argparse
import errno
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from ruie import stamp

T = TypeVar("T")
log = logging.getLogger("ruie")
Parser = argparse.ArgumentParser


#: Where nothing can be written, which is no fault of the program's.
NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class UserError(Exception):
    """A fault that the user can mend; shown as one line without a traceback."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's ``main``; a ``UserError`` becomes one line on stderr and exit status 2."""
    quiet_libraries()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        with stamp.stage():
            main()
    except UserError as error:
        _end(str(error))
    except BrokenPipeError:  # whoever read the output has had enough of it, as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        # safetensors and others have only the system's words for it
        if not any(os.strerror(number) in str(error) for number in NO_WRITING):
            raise
        _end(f"cannot be written: {error}; mend that, and start again")


def _end(line: str) -> NoReturn:
    print("error: " + " ".join(line.split()), file=sys.stderr)
    sys.exit(2)


def quiet_libraries() -> None:
    """Keep third-party progress bars and telemetry out of the logs (set before they import)."""
    for name, value in {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)


def parser(doc: str | None) -> Parser:
    """A parser whose description is the stage's module docstring."""
    return Parser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def named(text: str) -> tuple[str, Path]:
    """``NAME=PATH`` of a command line."""
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=PATH")
    return name, Path(path)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return value


def not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 up")
    return value


def duration(seconds: float) -> str:
    """``2 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def progress(
    items: Iterable[T], total: int, what: str, every: float = 15.0,
    weigh: Callable[[T], int] = lambda _: 1,
) -> Iterator[T]:  # fmt: skip
    """Yield ``items``: a bar on a terminal, a line with rate and time left in a log. ``weigh``
    says how many of ``total`` an item is."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=what) as bar:
            for item in items:
                yield item
                bar.update(weigh(item))
        return
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += weigh(item)
        now = time.monotonic()
        if now - last >= every or done == total:
            rate = done / max(now - start, 1e-9)
            left = duration((total - done) / max(rate, 1e-9))
            log.info("%s %d/%d, %.2f/s, %s left", what, done, total, rate, left)
            last = now
