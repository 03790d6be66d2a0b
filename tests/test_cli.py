"""Errors for users, arguments, progress and what importing a stage costs."""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from ruie import cli

ROOT = Path(cli.__file__).resolve().parents[1]
STAGES = (
    "add_dataset", "bm25", "compare", "download", "encode", "errors", "evaluate", "explain",
    "figures", "gather", "infer", "normalize", "overlap", "paper", "provenance", "report",
    "retrieve", "sample", "score", "score_reward", "speed", "spread", "stamp", "statistics",
    "tables", "train_retriever", "train_reward", "validation",
)  # fmt: skip


def test_user_error_is_one_line_and_status_two(capsys):
    def main() -> None:
        raise cli.UserError("data.json#3: first\nsecond; mend the record")

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert captured.err == "error: data.json#3: first second; mend the record\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "m.json"),
        RuntimeError("I/O error: No space left on device (os error 28)"),  # as safetensors has it
    ],
)
def test_a_full_disk_is_one_line(capsys, error):
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: cannot be written: ")
    assert said.count("\n") == 1


def test_other_exceptions_keep_their_traceback():
    def main() -> None:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.run(main)


def test_a_reader_that_has_had_enough_is_no_fault():
    code = "from ruie import cli\ncli.run(lambda: print('x' * 1_000_000, flush=True))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=tiny.environment(),
    ) as job:  # fmt: skip
        assert job.stdout
        assert job.stderr
        assert job.stdout.read(10) == "x" * 10
        job.stdout.close()
        assert job.stderr.read() == ""
        assert job.wait(timeout=60) == 1


def test_run_returns_when_main_does(capsys):
    assert cli.run(lambda: None) is None
    assert capsys.readouterr().err == ""


def test_libraries_are_quiet_but_the_users_choice_stands(monkeypatch):
    environment = {"DO_NOT_TRACK": "0"}
    monkeypatch.setattr(cli.os, "environ", environment)
    cli.quiet_libraries()
    assert environment["DO_NOT_TRACK"] == "0"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert environment["TRANSFORMERS_VERBOSITY"] == "error"


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("10000", 10000), (" 7 ", 7)])
def test_positive(text, value):
    assert cli.positive(text) == value


@pytest.mark.parametrize("text", ["0", "-1"])
def test_not_positive(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not a positive whole number"):
        cli.positive(text)


@pytest.mark.parametrize("value", ["0", "-3", "2.5", "many", ""])
def test_parser_refuses_what_is_not_positive(value, capsys):
    p = cli.parser("doc")
    p.add_argument("--limit", type=cli.positive)
    with pytest.raises(SystemExit) as stop:
        p.parse_args([f"--limit={value}"])
    assert stop.value.code == 2
    assert "--limit" in capsys.readouterr().err


def test_parser_knows_no_abbreviations(capsys):
    p = cli.parser("doc")
    p.add_argument("--limit", type=int)
    with pytest.raises(SystemExit):
        p.parse_args(["--lim", "3"])
    assert "--lim" in capsys.readouterr().err


def test_parser_shows_the_docstring_as_it_is():
    assert "First.\n\n  kept   as it is" in cli.parser("First.\n\n  kept   as it is").format_help()


def test_progress_yields_everything_and_logs_the_end(caplog, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, "ruie"):
        assert list(cli.progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert [r.getMessage().split(",")[0] for r in caplog.records] == ["letters 3/3"]


def test_progress_logs_rate_and_time_left(caplog, monkeypatch):
    clock = iter([0.0, 2.0, 4.0, 6.0, 8.0])
    monkeypatch.setattr(cli.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with caplog.at_level(logging.INFO, "ruie"):
        list(cli.progress(range(4), 4, "pairs", every=3))
    # 2 items in 4 s: 0.5 a second, 2 left take 4 s; 4 items in 8 s
    assert [r.getMessage() for r in caplog.records] == [
        "pairs 2/4, 0.50/s, 4 s left",
        "pairs 4/4, 0.50/s, 0 s left",
    ]


def test_progress_of_nothing(caplog):
    with caplog.at_level(logging.INFO, "ruie"):
        assert list(cli.progress([], 0, "nothing")) == []
    assert not caplog.records


def test_stages_import_nothing_heavy():
    heavy = ["torch", "transformers", "sentence_transformers", "vllm", "pyserini", "jnius"]
    code = (
        f"import importlib, sys\nfor s in {STAGES!r}: importlib.import_module('ruie.' + s)\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_stage_run_by_hand_reports_without_traceback(tmp_path):
    missing = tmp_path / "missing.parquet"
    command = [sys.executable, "-m", "ruie.sample", "--input", missing, "--out", tmp_path / "out"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {missing}: no such file; run the stage that writes it, or mend the path\n"
    )
    assert list(tmp_path.iterdir()) == []
