"""The stage that brings a registry's datasets into place, against a server on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest
import tiny
import yaml
from server import Page, serving

from ruie import cli, download, parquet, schemas

DATA = {"top/NER/train.json": b"[1]" * 2000, "top/NER/labels.json": b"[]", "top/RE/x.json": b"2"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with serving() as s:
        yield s


def zipped(members=DATA):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:  # stored: as many bytes as there are
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def tarred(members=DATA, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def sha(data):
    return hashlib.sha256(data).hexdigest()


def public(*files, **more):
    """A source: ``files`` are addresses, or entries of the registry."""
    files = [{"url": file} if isinstance(file, str) else file for file in files]
    return {"licence": "MIT", "url": "https://a.example", "files": files, **more}


def manual(todo, licence):
    return {"licence": licence, "url": "https://a.example", "manual": todo}


class Place:
    """A registry and the root that it is fetched to."""

    def __init__(self, folder):
        self.registry, self.root = folder / "registry.yaml", folder / "data"
        self.table = folder / "downloads.parquet"

    def write(self, **sources):
        """``sources``: name -> source, or (path, source)."""
        rows = []
        for name, given in sources.items():
            path, source = given if isinstance(given, tuple) else (f"NER/{name}", given)
            row = {"name": name, "path": path, "task": "NER", "format": "bio", "held_out": False,
                   "train": True, "evaluate": True, "repair": False}  # fmt: skip
            rows.append(row | ({"source": source} if source else {}))
        self.registry.write_text(yaml.safe_dump({"datasets": rows}))

    def words(self, *more):
        return ["--registry", str(self.registry), "--root", str(self.root), "--table",
                str(self.table), "--tries", "2", "--timeout", "5", *map(str, more)]  # fmt: skip

    def run(self, *more):
        download.main(self.words(*more))

    def fails(self, match, *more):
        with pytest.raises(cli.UserError, match=match):
            self.run(*more)

    def held(self):
        """What lies in the root, but for what is hidden."""
        return {
            str(p.relative_to(self.root)): p.read_bytes()
            for p in sorted(self.root.rglob("*"))
            if p.is_file() and ".downloads" not in p.parts
        }

    def hidden(self, into):
        return sorted(p.name for p in (self.root / ".downloads" / into).iterdir())

    def states(self):
        return {
            r["dataset"]: r["state"]
            for r in parquet.read(self.table, schemas.DOWNLOADS).to_pylist()
        }


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_archives_and_files_come_into_place(server, place, capsys):
    archive = zipped()
    place.write(
        one=public({"url": server.add("/d.zip", archive), "sha256": sha(archive)}),
        two=public(
            {"url": server.add("/train", b"[1]"), "to": "train.json", "sha256": sha(b"[1]")},
            server.add("/labels.json", b"[]"),
            {"url": server.add("/more.tgz", tarred()), "to": "more"},
        ),
        three=manual("LDC licence needed: LDC0000T00; lay it out as NER/x", "LDC"),
        four=None,
    )
    place.run()
    assert place.held() == {
        **{f"NER/one/{name}": data for name, data in DATA.items()},
        **{f"NER/two/more/{name}": data for name, data in DATA.items()},
        "NER/two/train.json": b"[1]",
        "NER/two/labels.json": b"[]",
    }
    assert place.hidden("NER/two") == ["fetched.json", "lock"]  # nothing else is left
    by_hand = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in by_hand] == [
        ["dataset", "state", "folder"], ["three", "by", "hand"], ["four", "by", "hand"]
    ]  # fmt: skip
    assert "LDC licence needed" in by_hand[1]
    rows = parquet.read(place.table, schemas.DOWNLOADS).to_pylist()
    assert [(r["dataset"], r["state"], r["file"], r["bytes"]) for r in rows] == [
        ("one", "in place", ".", len(archive)), ("two", "in place", "train.json", 3),
        ("two", "in place", "labels.json", 2), ("two", "in place", "more", len(tarred())),
        ("three", "by hand", None, None), ("four", "by hand", None, None),
    ]  # fmt: skip
    before, asked = place.table.read_bytes(), len(server.asked)
    place.run()
    assert (place.table.read_bytes(), len(server.asked)) == (before, asked)


def test_the_record_holds_no_time(server, place):
    place.write(a=public(server.add("/d.zip", zipped())))
    place.run()
    record = json.loads((place.root / ".downloads/NER/a/fetched.json").read_text())
    assert record == [
        {"url": server.url + "/d.zip", "bytes": len(zipped()), "sha256": sha(zipped()),
         "etag": '"v1"', "last_modified": None, "file": "."}
    ]  # fmt: skip


def test_one_archive_serves_two_datasets(server, place):
    source = public(server.add("/d.zip", zipped()), into="all")
    place.write(a=("all/top/NER", source), b=("all/top/RE", source))
    place.run()
    assert len(server.asked) == 1
    assert place.states() == {"a": "in place", "b": "in place"}


def test_a_list_fetches_nothing(server, place, capsys):
    place.write(
        a=public(server.add("/d.zip", zipped())),
        b=manual("ask the authors", "own"),
    )
    place.run("--list")
    out = capsys.readouterr().out
    assert [line.split()[1:3] for line in out.splitlines()[1:]] == [["to", "fetch"], ["by", "hand"]]
    assert server.url in out
    assert "ask the authors" in out
    assert not server.asked
    assert not place.root.exists()


def test_names_choose(server, place):
    url = server.add("/d.zip", zipped())
    place.write(a=public(url), b=public(url))
    place.run("--names", "b")
    assert {name.split("/")[1] for name in place.held()} == {"b"}
    place.fails(r"\['c'\] are not in", "--names", "c", "b")


def test_data_that_is_there_is_left_alone(server, place):
    place.write(a=public(server.add("/d.zip", zipped())))
    own = place.root / "NER/a"
    own.mkdir(parents=True)
    (own / "train.json").write_text("mine")
    place.run()
    assert not server.asked
    assert place.held() == {"NER/a/train.json": b"mine"}
    assert place.states() == {"a": "in place"}
    (own / "train.json").unlink()  # an empty folder is none
    place.run()
    assert "NER/a/top/RE/x.json" in place.held()


def test_a_file_that_changed_since_it_came_is_told(server, place):
    place.write(a=public(server.add("/train.json", b"[1]")))
    place.run()
    (place.root / "NER/a/train.json").write_bytes(b"[2]")
    place.fails(f"sha256 should be {sha(b'[1]')} as it came, is {sha(b'[2]')}; move .* away")
    assert place.states() == {"a": "failed"}
    (place.root / "NER/a/other.json").write_bytes(b"")
    (place.root / "NER/a/train.json").unlink()
    place.fails("is no file")


def test_what_is_fetched_again_must_be_the_same(server, place):
    place.write(a=public(server.add("/d.zip", zipped())))
    place.run()
    shutil.rmtree(place.root / "NER/a")
    other = zipped({"f": b"other"})
    server.add("/d.zip", Page(other, etag='"v2"'))
    place.fails(
        f"should be {sha(zipped())}, is {sha(other)}; set aside as .*bad; .*delete .*fetched"
    )
    assert place.held() == {}
    assert [name for name in place.hidden("NER/a") if name.endswith(".bad")]
    (place.root / ".downloads/NER/a/fetched.json").unlink()
    place.run()
    assert place.held() == {"NER/a/f": b"other"}
    assert [name for name in place.hidden("NER/a") if name.endswith(".bad")]  # nothing is deleted


def test_a_registry_that_changed_since_is_told(server, place):
    url = server.add("/d.zip", zipped())
    place.write(a=public(url))
    place.run()
    place.write(a=public({"url": url, "sha256": sha(b"")}))
    place.fails("the registry now expects sha256")
    place.write(a=public(url + "2"))
    place.fails("the registry names other addresses")
    place.write(a=("NER/a/nowhere", public(url, into="NER/a")))
    place.fails("is there, but nowhere is not in it")


def test_a_path_that_the_archive_lacks_is_told_and_mended(server, place):
    source = public(server.add("/d.zip", zipped()), into="all")
    place.write(a=("all/NER", source))
    place.fails(r"all/NER: not in what .*d\.zip holds \('top'\)")
    assert place.held() == {}
    place.write(a=("all/top/NER", source))
    place.run()
    assert len(server.asked) == 1  # the archive was kept


def test_one_failure_does_not_stop_the_others(server, place, caplog):
    place.write(
        a=public(server.url + "/none.zip"),
        b=public(server.add("/bad.zip", b"no zip")),
        c=public(server.add("/d.zip", zipped())),
    )
    place.fails("bad.zip: not a whole zip archive")  # the last is the error, the first is logged
    assert "none.zip: HTTP 404" in caplog.text
    assert place.states() == {"a": "failed", "b": "failed", "c": "in place"}


EVIL = {
    "zip slip": ("/d.zip", zipped({"fine": b"1", "../../../evil": b"2"}), "leave its folder"),
    "tar slip": ("/d.tgz", tarred({"fine": b"1", "../../../evil": b"2"}), "leave its folder"),
    "bomb": ("/d.zip", zipped({"f": bytes(20_001)}), "more than 20000 bytes unpacked"),
    "members": ("/d.zip", zipped({f"f{i}": b"" for i in range(21)}), "more than 20 members"),
}


@pytest.mark.parametrize("case", EVIL)
def test_an_evil_archive_leaves_nothing(server, place, tmp_path, case):
    path, body, match = EVIL[case]
    place.write(a=public(server.add(path, body)))
    place.fails(match, "--max-unpacked", 20_000, "--max-members", 20)
    assert place.held() == {}
    assert not list(tmp_path.rglob("*evil*"))


def test_a_symlink_that_leads_out_is_refused(server, place, tmp_path):
    (tmp_path / "secret").write_text("mine")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        info = zipfile.ZipInfo("train.json")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, str(tmp_path / "secret"))
    place.write(a=public(server.add("/d.zip", buffer.getvalue())))
    place.fails("link to .*secret' would leave its folder")
    assert place.held() == {}


def test_two_files_of_one_place_are_refused(server, place):
    one = server.add("/a.zip", zipped())
    place.write(a=public(one, server.add("/b.zip", zipped())))
    place.fails("comes twice")
    place.write(a=public(one, {"url": server.add("/x", b"1"), "to": "top/RE/x.json"}))
    place.fails("cannot be filled: File exists")


def test_two_runs_do_not_fetch_the_same(server, place):
    place.write(a=public(server.add("/d.zip", zipped())))
    work = place.root / ".downloads/NER/a"
    work.mkdir(parents=True)
    with download._alone(work):
        place.fails("another process is fetching this")
    place.run()


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"url": "x"}]', "null", "[" * 5000])
def test_a_damaged_record_is_one_line(server, place, text):
    place.write(a=public(server.add("/d.zip", zipped())))
    place.run()
    (place.root / ".downloads/NER/a/fetched.json").write_text(text)
    place.fails(r"fetched\.json: damaged .*; delete it")


def test_a_root_that_cannot_be_written_is_one_line(server, place):
    place.root.write_text("a file")
    place.write(a=public(server.add("/d.zip", zipped())))
    place.fails("cannot be filled: ")


def test_tampered_data_ends_with_status_2_and_one_line(server, place):
    place.write(a=public({"url": server.add("/d.zip", b"tampered"), "sha256": sha(b"x")}))
    done = tiny.python("-m", "ruie.download", *place.words(), env=tiny.environment(no_proxy="*"))
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"sha256 should be {sha(b'x')}, is {sha(b'tampered')}; set aside as " in line


def killed(place, ready, seconds=30):
    """Start a run and kill it as soon as ``ready()`` holds."""
    with subprocess.Popen(
        [sys.executable, "-m", "ruie.download", *place.words()], stderr=subprocess.DEVNULL,
        env=tiny.environment(no_proxy="*"),
    ) as process:  # fmt: skip
        end = time.monotonic() + seconds
        while not ready() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        assert process.poll() is None, "it ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)


def test_a_killed_run_is_taken_up(server, place, tmp_path):
    archive = zipped()  # some 6,500 bytes: 100 at a time, 0.1 s apart
    place.write(a=public(server.add("/d.zip", Page(archive, piece=100, delay=0.1))))
    work = place.root / ".downloads/NER/a"

    def some():
        return any(p.stat().st_size >= 300 for p in work.glob("*.part"))

    killed(place, some)
    assert place.held() == {}
    [part] = work.glob("*.part")
    size = part.stat().st_size
    assert 300 <= size < len(archive)
    server.pages["/d.zip"].delay = 0
    place.run()
    assert server.ranges("/d.zip") == [None, f"bytes={size}-"]

    whole = Place(tmp_path / "whole")
    whole.registry.parent.mkdir()
    whole.registry.write_text(place.registry.read_text())
    whole.run()
    assert place.held() == whole.held()
    assert place.table.read_bytes() == whole.table.read_bytes()
    assert place.hidden("NER/a") == whole.hidden("NER/a")


@pytest.mark.parametrize("moment", ["unpack", "rename", "_tidy"])
def test_a_run_ended_at_any_later_step_is_taken_up(server, place, monkeypatch, moment):
    class Killed(BaseException):
        pass

    def end(*_):
        raise Killed

    def half(archive, form, folder, limits):
        (folder / "half").write_bytes(b"1")
        raise Killed

    place.write(a=public(server.add("/d.zip", zipped())))
    where, name, how = {
        "unpack": (download.unpack, "unpack", half),
        "rename": (download.os, "rename", end),
        "_tidy": (download, "_tidy", end),
    }[moment]
    with monkeypatch.context() as m:
        m.setattr(where, name, how)
        with pytest.raises(Killed):
            place.run()
    if moment != "_tidy":
        assert place.held() == {}
    place.run()
    assert place.held() == {f"NER/a/{name}": data for name, data in DATA.items()}
    assert place.hidden("NER/a") == ["fetched.json", "lock"]
    assert len(server.asked) == 1


def test_a_long_remedy_is_wrapped_under_its_column(place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    place.write(a=manual("word " * 30 + "\n  end", "LDC"))
    place.run()
    head, first, *more = capsys.readouterr().out.splitlines()
    at = head.index("todo")
    assert more
    assert all(line[:at].strip() == "" for line in more)
    assert " ".join(line[at:] for line in (first, *more)) == "word " * 30 + "end"


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--timeout", "nan"], ["--max-bytes", "0"]])
def test_limits_must_be_limits(place, words):
    with pytest.raises(SystemExit):
        place.run(*words)
