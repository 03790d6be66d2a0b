"""Jobs that ask an endpoint: killed and begun again, their keys, proxies and certificates."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import answering
import pytest
import tiny
from answering import Step, said
from asking_help import SETTINGS, Slept, ask, first, requests

from ruie import asking, infer, parquet, prompt, schemas
from ruie.cli import UserError
from ruie.endpoint import Endpoint

SECRET = "sk-very-secret-0123456789"  # noqa: S105


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    queries = [tiny.sample(f"q{i}", f"Alice visited town {i}.", ("person", "Alice"))
               for i in range(60)]  # fmt: skip
    tiny.write_examples(queries, folder / "queries.parquet")
    return folder / "queries.parquet", [prompt.query(q) for q in queries]


def words(queries, url, out, *more):
    return ["--queries", str(queries), "--k", "0", "--model", "m", "--endpoint", url, "--key",
            "A_KEY", "--llm", "far", "--concurrency", "4", *more, "--out", str(out)]  # fmt: skip


def test_a_killed_job_asks_for_nothing_twice(tables, tmp_path):
    queries, _ = tables
    out, path = tmp_path / "out.parquet", tmp_path / "out.parquet.journal"
    free, numbers = threading.Event(), itertools.count()

    def script(request, before):
        # the first dozen at once, the others not before the job is dead
        if next(numbers) >= 12:
            free.wait(30)
        return said("None")

    with answering.serving(script) as server:
        command = [sys.executable, "-m", "ruie.infer", *words(queries, server.url, out)]
        env = tiny.environment(A_KEY=SECRET)
        job = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            limit = time.monotonic() + 60
            while time.monotonic() < limit and not (
                path.is_file() and path.read_bytes().count(b"\n") >= 12 and len(server.times) >= 16
            ):
                time.sleep(0.02)
        finally:
            os.kill(job.pid, signal.SIGKILL)
            job.wait(timeout=20)
        kept = [json.loads(line) for line in path.read_text().split("\n") if line.strip()]
        assert len(kept) == 12
        assert not out.exists()
        asked = server.times.copy()
        # four more were under way
        assert len(asked) == 16
        free.set()
        with open(path, "ab") as file:
            file.write(b'{"key": "torn')
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "60 requests, 12 of them answered before" in done.stderr
        # what was under way was asked for again, what was kept was not: 60 prompts, 4 of them twice
        again = [prompt for prompt, n in server.times.items() if n == 2]
        assert len(server.times) == 60
        assert max(server.times.values()) == 2
        assert len(again) == len(asked) - 12
    rows = parquet.read(out, schemas.PREDICTIONS).to_pylist()
    assert {(r["prediction"], r["error"], r["llm"]) for r in rows} == {("None", None, "far")}
    assert [r["query_id"] for r in rows] == [f"q{i}" for i in range(60)]
    assert not path.exists()


def test_the_key_is_in_one_header_and_nowhere_else(tables, tmp_path):
    """A server that repeats the key in every fault, also over the end of what is shown."""
    queries, _ = tables
    echoes = [
        Step(400, {"error": {"message": f"bad key {SECRET}"}}),
        Step(400, f"{SECRET} not JSON".encode()),
        Step(400, {"error": {"message": "x" * 290 + SECRET}}),
        Step(500, {"error": {"message": f"bad key {SECRET}"}}),
        said(None, reason=SECRET),
        said(f"person: Bearer {SECRET}"),
    ]

    def script(request, before):
        i = int(answering.prompt_of(request).split("town ")[1].split(".")[0])
        return echoes[i] if i < len(echoes) else said("None")

    out = tmp_path / "out.parquet"
    env = tiny.environment(A_KEY=SECRET)
    with answering.serving(script) as server:
        command = ["-m", "ruie.infer", *words(queries, server.url, out, "--tries", "1")]
        done = tiny.python(*command, env=env)
        assert done.returncode == 0, done.stderr
        assert {h["authorization"] for _, h, _ in server.asked} == {f"Bearer {SECRET}"}
        assert SECRET not in json.dumps([request for _, _, request in server.asked])
        rows = parquet.read(out, schemas.PREDICTIONS).to_pylist()
        errors = [r["error"] for r in rows[:5]]
        assert all(errors)
        assert not any(r["error"] for r in rows[5:])
        assert f"delete {out} and run again to ask for the 5 once more" in done.stderr
        refused = tiny.python("-m", "ruie.evaluate", "--predictions", out, "--out", tmp_path / "m",
                              env=env)  # fmt: skip
        assert refused.returncode == 2
        assert "has no answer" in refused.stderr
        echoes[:] = [Step(401, {"error": {"message": SECRET}})] * 60
        stopped = tiny.python(*command, env=env)
        assert stopped.returncode == 2
        assert stopped.stderr.endswith("mend the variable that `key` names\n")
    told = done.stderr + done.stdout + stopped.stderr + refused.stderr + repr(rows)
    told += (tmp_path / "out.parquet.journal").read_text() + " ".join(map(str, command))
    assert SECRET[:-4] not in told
    assert SECRET[3:] not in told
    missing = tiny.python(*command)
    assert missing.returncode == 2
    assert missing.stderr == f"error: A_KEY: not set; export it with the key of {server.url}\n"


def test_loopback_needs_no_proxy(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (answer,), _ = ask(tmp_path, first())
    assert answer.error is None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """One for localhost that nobody but itself vouches for, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(pem)
    )
    return path


def test_a_certificate_that_nobody_vouches_for_ends_the_run(tmp_path, certificate, monkeypatch):
    monkeypatch.setenv("A_KEY", SECRET)
    with answering.serving(first(), certificate) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        with pytest.raises(UserError, match=f"^{url}: .*CERTIFICATE_VERIFY_FAILED.*mend"):
            asking.answer(Endpoint(url, "A_KEY"), SETTINGS, requests(1), tmp_path / "j")
        assert server.asked == []


def test_a_server_without_tls_gets_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("A_KEY", SECRET)
    with answering.serving(first()) as server:
        where = Endpoint(server.url.replace("http:", "https:"), "A_KEY", tries=2)
        (answer,) = asking.answer(where, SETTINGS, requests(1), tmp_path / "j", Slept().times)
        assert answer.error.startswith("connection, given up after 2 of 2 tries; ")
        assert server.asked == []


def test_one_table_after_the_other_in_one_process(tables, tmp_path, monkeypatch):
    queries, texts = tables
    monkeypatch.setenv("A_KEY", SECRET)
    with answering.serving(first()) as server:
        for name in ("a", "b"):
            with contextlib.chdir(tmp_path):
                infer.main(words(queries, server.url, f"{name}.parquet"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]
    assert set(server.times.values()) == {2}
    assert all(any(t.endswith(text) for t in server.times) for text in texts)
