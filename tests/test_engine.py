"""The shared engine: real processes on a Unix socket in a temporary folder, ended by the tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import tiny

from ruie import backends, engine
from ruie.backends import Request, Settings
from ruie.cli import UserError

REQUESTS = [
    Request("Do it.", ["Input: Oil.\nOutput: None"], "Input: Alice visited Berlin.\nOutput:"),
    Request("Do it.", [], "Input: Rebels attacked the harbour.\nOutput:"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.causal(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def settings(model):
    return Settings("transformers", str(model), dtype="float32", max_new=6, stop=())


@pytest.fixture
def started(monkeypatch):
    """A temporary folder of its own (a socket's path must be short), short idling, and the list
    of the processes started, all of which are ended."""
    home = tempfile.mkdtemp()
    monkeypatch.setenv("TMPDIR", home)
    monkeypatch.setattr(tempfile, "tempdir", home)
    for name, value in tiny.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(engine, "START_SECONDS", 150.0)
    processes = []

    class Popen(subprocess.Popen):
        def __init__(self, command, **options):
            super().__init__([*command, "--idle", "60"], **options)
            processes.append(self)

    monkeypatch.setattr(engine.subprocess, "Popen", Popen)
    yield processes
    for p in processes:
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)  # a session of its own: start_new_session
        p.wait(timeout=10)
    shutil.rmtree(home)


def test_two_jobs_use_one_process_until_it_is_stopped(started, settings):
    first = engine.ask(settings, REQUESTS)
    again = engine.ask(settings, REQUESTS)
    own = backends.answer(backends.load(settings), settings, REQUESTS)
    assert first == again == own
    assert all(a.text and a.completion_tokens for a in own)
    assert len(started) == 1
    assert started[0].poll() is None
    path = engine.socket_path(settings)
    assert path.is_socket()
    # the folder lets nobody else in
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.parent.stat().st_uid == os.getuid()
    engine.main(["--stop"])
    assert started[0].wait(timeout=20) == 0
    assert not path.exists()
    assert engine.stop() == 0


def test_a_dead_engines_socket_is_replaced(started, settings):
    path = engine.socket_path(settings)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # closed without being removed, as after a kill
    assert path.is_socket()
    assert engine.stop() == 0  # nobody listens there
    answers = engine.ask(settings, REQUESTS[1:])
    assert len(answers) == len(started) == 1
    assert answers[0].error is None


def test_an_engine_that_cannot_start_is_one_clear_line(started, settings, tmp_path):
    broken = Settings("transformers", str(tmp_path), "float32")
    with pytest.raises(UserError) as caught:
        engine.ask(broken, REQUESTS)
    said = str(caught.value)
    assert said.startswith("the shared engine failed: model ")
    assert "cannot be loaded" in said
    assert "\n" not in said
    log = engine.socket_path(broken).with_suffix(".log")
    assert str(log) in said
    assert started[0].wait(timeout=20) == 2
    assert "cannot be loaded" in log.read_text()
    assert len(started) == 1


def test_a_folder_that_others_could_enter_is_refused(started):
    path = engine.folder()
    path.chmod(0o750)
    with pytest.raises(UserError, match="closed to others"):
        engine.folder()
    path.rmdir()
    elsewhere = path.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    path.symlink_to(elsewhere)  # someone else may have laid it
    with pytest.raises(UserError, match="closed to others"):
        engine.folder()
    path.unlink()
    assert engine.folder() == path


def test_each_model_and_each_setting_has_its_own_socket(started, settings, model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    here = Settings("transformers", str(copy))
    paths = [engine.socket_path(s) for s in (
        here, settings, Settings("transformers", str(copy), max_new=7),
        Settings("transformers", str(copy), chat=True), Settings("vllm", str(copy)),
    )]  # fmt: skip
    assert len(set(paths)) == 5
    assert engine.socket_path(here) == paths[0]
    (copy / "config.json").write_text("{}")
    assert engine.socket_path(here) != paths[0]
    assert all(len(os.fsencode(p)) < 104 for p in paths)  # a socket's path cannot be longer


class Fake:
    """A back end that answers with what it was asked, or fails."""

    def __init__(self, settings):
        self.tokenizer = self

    def __call__(self, text, add_special_tokens=True, verbose=False):
        return {"input_ids": [ord(c) for c in text]}

    def generate(self, prompts):
        texts = ["".join(map(chr, p)) for p in prompts]
        if any("fail" in t for t in texts):
            raise RuntimeError("out of memory")
        return [(t[-5:], len(t), "stop") for t in texts]


@pytest.fixture
def served(started, monkeypatch):
    """An engine with the fake back end in a thread of this process, and its settings."""
    monkeypatch.setattr(backends, "load", Fake)
    threads = []

    def serve(idle):
        settings = Settings("transformers", "fake")
        path = engine.socket_path(settings)
        thread = threading.Thread(target=engine.serve, args=(path, settings, idle), daemon=True)
        thread.start()
        threads.append(thread)
        while not path.exists() and thread.is_alive():
            thread.join(0.01)
        return settings, path, thread

    yield serve
    engine.stop()
    for thread in threads:
        thread.join(10)


def test_it_ends_by_itself_when_nobody_asks(served):
    _, path, thread = served(0.1)
    thread.join(20)
    assert not thread.is_alive()
    assert not path.exists()


def send(path: Path, data: bytes) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.settimeout(10)
        s.connect(str(path))
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        s.recv(4096)


def test_a_client_that_went_away_harms_nobody(served, monkeypatch):
    asked, gone = threading.Event(), threading.Event()
    generate = Fake.generate

    def slow(self, prompts):
        asked.set()
        assert gone.wait(10)
        return generate(self, prompts)

    monkeypatch.setattr(Fake, "generate", slow)
    settings, path, thread = served(30)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(path))
        job = [{"instruction": "i", "demonstrations": [], "query": "q"}]
        client.sendall(json.dumps({"requests": job}).encode() + b"\n")
        assert asked.wait(10)
    gone.set()  # the job was killed while the model was at work: nobody reads the answer
    assert engine.ask(settings, [Request("i", [], "hello")])[0].text == "hello"
    assert thread.is_alive()


class Dying(threading.Thread):
    """An engine that ends when a job has come, ``times`` times over."""

    def __init__(self, path, reads, times, then=None):
        super().__init__(daemon=True)
        self.path, self.reads, self.times, self.then = path, reads, times, then
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.server.settimeout(20)
        self.start()

    def run(self):
        with self.server:
            for _ in range(self.times):
                connection = self.server.accept()[0]
                connection.settimeout(20)
                with connection:
                    # unread words make the kernel reset the connection, read ones end it
                    connection.recv(65536 if self.reads else 1)
            if self.then:
                connection = self.server.accept()[0]
                with connection, connection.makefile("rw") as lines:
                    lines.readline()
                    lines.write(self.then + "\n")


@pytest.mark.parametrize("reads", [True, False])
def test_an_engine_that_dies_on_a_job_twice_is_a_user_error(started, reads):
    settings = Settings("transformers", "fake")
    dying = Dying(engine.socket_path(settings), reads, times=2)
    with pytest.raises(UserError, match="the shared engine failed: it ended without an answer"):
        engine.ask(settings, REQUESTS)
    dying.join(20)


def test_a_job_that_lost_its_engine_asks_once_more(started):
    settings = Settings("transformers", "fake")
    dying = Dying(engine.socket_path(settings), True, times=1, then='{"answers": []}')
    assert engine.ask(settings, []) == []
    dying.join(20)
    assert started == []


def test_jobs_may_come_before_the_model(served, monkeypatch):
    come = threading.Event()

    def slow(settings):
        assert come.wait(10)
        return Fake(settings)

    monkeypatch.setattr(backends, "load", slow)
    settings, path, _ = served(30)
    assert path.is_socket()  # and the model is not there yet
    threading.Timer(0.2, come.set).start()
    assert engine.ask(settings, [Request("i", [], "hello")])[0].text == "hello"


def test_bad_clients_and_failing_jobs_leave_the_engine_alive(served, started):
    settings, path, thread = served(30)
    for data in (b"", b"not json\n", b'{"requests": [{"wrong": 1}]}\n', b"\xff\xfe\n", b"[1]\n"):
        with contextlib.suppress(ConnectionError):
            send(path, data)
        assert thread.is_alive(), data
    with pytest.raises(UserError, match="engine failed: RuntimeError: out of memory"):
        engine.ask(settings, [Request("i", [], "fail now")])
    answers = engine.ask(settings, [Request("i", [], "hello"), Request("i", [], "Zürich…")])
    assert [a.text for a in answers] == ["hello", "rich…"]
    assert engine.ask(settings, []) == []
    assert started == []  # all of them went to the one that was there
    assert engine.stop() == 1
    thread.join(10)
    assert not thread.is_alive()
