"""The score store while it is merged, killed, and written to by several processes."""

from __future__ import annotations

import itertools
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from stores import batch, child, make, rows, segments

from ruie import parquet, schemas
from ruie.cli import UserError

# merging


def test_merge_leaves_one_segment_of_its_own_and_those_of_others(tmp_path: Path) -> None:
    held, other = make(tmp_path, 1, 2), make(tmp_path, 3)
    theirs = other._mine
    held.merge()
    assert len(segments(held)) == 2
    held.add(*batch(4))
    held.merge()
    (merged,) = set(segments(held)) - set(theirs)
    assert len(parquet.read(merged, schemas.STORE)) == 15
    held.merge()  # nothing to do
    assert set(segments(held)) == {merged, *theirs}
    assert held.find([k for n in range(6) for k in batch(n)[0]]) == rows(1, 2, 3, 4)


def test_merge_leaves_out_what_is_damaged_or_gone(tmp_path: Path) -> None:
    held = make(tmp_path, 1, 2, 3, 4)
    torn, gone = held._mine[:2]
    torn.write_bytes(torn.read_bytes()[:-1])
    gone.unlink()
    held.merge()
    assert torn in segments(held)
    assert len(segments(held)) == 2
    assert held.find([k for n in range(6) for k in batch(n)[0]]) == rows(3, 4)


def test_merge_that_cannot_write_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = make(tmp_path, 1, 2)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.pq.ParquetWriter, "write_table", full)
    with pytest.raises(UserError, match="No space"):
        held.merge()
    monkeypatch.undo()
    assert held.find(batch(1)[0] + batch(2)[0]) == rows(1, 2)
    held.merge()  # there is room again
    assert len(segments(held)) == 1


@pytest.mark.parametrize(
    ("step", "call", "left"),
    [
        ("replace", 1, 3),  # before the merged one is in its place
        ("unlink", 1, 4),  # just after: the call that clears the .part
        ("unlink", 2, 4),  # before the first part goes
        ("unlink", 4, 2),  # before the last part goes
    ],
)
def test_merge_killed_in_the_middle(tmp_path: Path, step: str, call: int, left: int) -> None:
    code = """
for n in (1, 2, 3):
    held.add(*batch(n))
name = sys.argv[2]
owner = {"replace": os, "unlink": pathlib.Path}[name]
real, calls = getattr(owner, name), []
def killed(*a, **k):
    calls.append(a)
    if len(calls) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*a, **k)
setattr(owner, name, killed)
held.merge()
"""
    process = child(code, tmp_path, step, call)
    process.communicate(timeout=100)
    assert process.returncode == -signal.SIGKILL
    held = make(tmp_path)
    assert len(segments(held)) == left
    assert held.find([k for n in range(5) for k in batch(n)[0]]) == rows(1, 2, 3)
    assert not held.faulty


# real processes


def test_what_a_killed_job_reported_is_stored(tmp_path: Path) -> None:
    code = """
first = n = int(sys.argv[2])
while True:
    held.add(*batch(n))
    print(n, flush=True)
    n += 1
    if n % 7 == 0:
        held.merge()
"""
    chance = random.Random(5)
    reported: list[int] = []
    for attempt in range(5):
        process = child(code, tmp_path, 10_000 * attempt)
        assert process.stdout is not None
        first = process.stdout.readline()  # it runs: what it does when killed is left to chance
        time.sleep(chance.uniform(0, 0.4))
        process.kill()
        text = first + process.communicate(timeout=100)[0]
        reported += map(int, text[: text.rindex("\n")].split())
        assert process.returncode == -signal.SIGKILL
    held = make(tmp_path)
    # of each attempt also what it wrote but could not report
    possible = {n + 1 for n in reported} | set(reported)
    found = held.find([k for n in possible for k in batch(n)[0]])
    assert rows(*reported).items() <= found.items() <= rows(*possible).items()
    assert not held.faulty


def test_writers_side_by_side_while_a_third_finds_and_merges(tmp_path: Path) -> None:
    code = """
for n in range(int(sys.argv[2]), int(sys.argv[2]) + 40):
    held.add(*batch(n))
    if n % 5 == 0:
        held.merge()
"""
    writers = [child(code, tmp_path, start) for start in (100, 200)]
    numbers = [*range(100, 140), *range(200, 240)]
    right = rows(*numbers, *range(100))
    keys = list(right)
    held, found = make(tmp_path), {}
    for n in itertools.count():
        over = all(w.poll() is not None for w in writers)
        now = held.find(keys)
        assert now.items() <= right.items()
        assert found.keys() <= now.keys()  # what was there stays there while segments are merged
        found = now
        if over:
            break
        held.add(*batch(n % 100))
        if n % 3 == 0:
            held.merge()
    assert [w.returncode for w in writers] == [0, 0]
    assert rows(*numbers).items() <= found.items()
    assert not held.faulty
    for w in writers:
        w.communicate()
