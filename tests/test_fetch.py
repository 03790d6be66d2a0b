"""Fetching one file: resuming, retrying, refusing; against a server on loopback."""

from __future__ import annotations

import hashlib
import json

import pytest
from server import Page, serving

from ruie import fetch
from ruie.cli import UserError

BODY = bytes(range(256)) * 400  # 102,400 bytes
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with serving() as s:
        yield s


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work" / "x.bin"


def limits(**changes):
    given = {"timeout": 5.0, "tries": 3, "pause": lambda seconds: None}
    return fetch.Limits(**{**given, **changes})


def names(path):
    return sorted(p.name for p in path.parent.iterdir())


def test_a_file_is_fetched_and_told(server, path):
    url = server.add("/x.bin", Page(BODY, modified="Mon, 01 Jan 2024 00:00:00 GMT"))
    record = fetch.fetch(url, path, SHA, limits())
    assert path.read_bytes() == BODY
    assert record == {
        "url": url, "bytes": 102_400, "sha256": SHA, "etag": '"v1"',
        "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT",
    }  # fmt: skip
    assert fetch.fetch(url, path, SHA, limits()) == record
    assert len(server.asked) == 1  # what is there is not asked for again
    assert names(path) == ["x.bin", "x.bin.version"]


def test_a_slow_file_is_waited_for(server, path):
    # 25 pieces, 0.02 s apart: half a second altogether, each within the limit of 0.4 s
    url = server.add("/x.bin", Page(BODY, piece=4096, delay=0.02))
    fetch.fetch(url, path, None, limits(timeout=0.4, tries=1))
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("step", ["break", "hang"])
def test_a_broken_connection_goes_on_where_it_ended(server, path, step):
    url = server.add("/x.bin", Page(BODY, script=[step, step]))
    fetch.fetch(url, path, SHA, limits(timeout=0.5))
    assert path.read_bytes() == BODY
    # a half comes each time: 51,200 of 102,400, then 25,600 of the other 51,200
    assert server.ranges("/x.bin") == [None, "bytes=51200-", "bytes=76800-"]
    assert [version for *_, version in server.asked] == [None, '"v1"', '"v1"']


def test_a_later_run_goes_on_too(server, path):
    url = server.add("/x.bin", Page(BODY, script=["break", 500]))
    with pytest.raises(UserError, match=r"HTTP 500, 2 times in a row.*after the 51200 bytes"):
        fetch.fetch(url, path, None, limits(tries=2))
    assert path.with_name("x.bin.part").stat().st_size == 51_200
    fetch.fetch(url, path, None, limits())
    assert path.read_bytes() == BODY
    assert server.ranges("/x.bin") == [None, "bytes=51200-", "bytes=51200-"]


@pytest.mark.parametrize(
    ("etag", "modified", "expected", "asked"),
    [
        ('W/"v1"', "Mon, 01 Jan 2024 00:00:00 GMT", None, "Mon, 01 Jan 2024 00:00:00 GMT"),
        (None, None, SHA, None),  # the checksum tells whether the halves fit
    ],
)
def test_what_a_part_is_continued_by(server, path, etag, modified, expected, asked):
    url = server.add("/x.bin", Page(BODY, etag=etag, modified=modified, script=["break"]))
    fetch.fetch(url, path, expected, limits())
    assert path.read_bytes() == BODY
    assert server.asked[1] == ("/x.bin", "bytes=51200-", asked)


@pytest.mark.parametrize("etag", [None, 'W/"v1"'])
def test_without_validator_or_checksum_it_starts_again(server, path, etag):
    url = server.add("/x.bin", Page(BODY, etag=etag, script=["break"]))
    fetch.fetch(url, path, None, limits())
    assert path.read_bytes() == BODY
    assert server.ranges("/x.bin") == [None, None]


def test_a_server_without_ranges_starts_again(server, path):
    url = server.add("/x.bin", Page(BODY, ranges=False, script=["break"]))
    fetch.fetch(url, path, SHA, limits())
    assert path.read_bytes() == BODY
    assert server.ranges("/x.bin") == [None, "bytes=51200-"]


def test_a_changed_file_starts_again(server, path):
    url = server.add("/x.bin", Page(BODY, script=["break", 503]))
    with pytest.raises(UserError):
        fetch.fetch(url, path, None, limits(tries=2))
    server.add("/x.bin", Page(BODY[::-1], etag='"v2"'))
    assert fetch.fetch(url, path, None, limits())["etag"] == '"v2"'
    assert path.read_bytes() == BODY[::-1]


def test_a_server_that_goes_on_with_another_version_is_not_believed(server, path):
    def change(page):  # another file under the old answer to If-Range
        if page.body == BODY and not page.script:
            page.body = BODY[::-1] + b"more"

    url = server.add("/x.bin", Page(BODY, script=["break"], on_request=change))
    fetch.fetch(url, path, None, limits())
    assert path.read_bytes() == BODY[::-1] + b"more"
    assert server.ranges("/x.bin") == [None, "bytes=51200-", None]


def test_a_whole_part_is_taken(server, path):
    url = server.add("/x.bin", Page(BODY))
    fetch.fetch(url, path, None, limits())
    path.rename(path.with_name("x.bin.part"))  # as if the run had ended just before
    assert fetch.fetch(url, path, None, limits())["sha256"] == SHA
    assert server.ranges("/x.bin") == [None, "bytes=102400-"]
    path.rename(path.with_name("x.bin.part")).open("ab").write(b"x")  # longer than the file
    assert fetch.fetch(url, path, None, limits())["sha256"] == SHA
    assert server.ranges("/x.bin")[2:] == ["bytes=102401-", None]


def test_a_tampered_file_is_set_aside(server, path):
    url = server.add("/x.bin", BODY[:-1] + b"!")
    found = hashlib.sha256(BODY[:-1] + b"!").hexdigest()
    with pytest.raises(UserError) as error:
        fetch.fetch(url, path, SHA, limits())
    assert f"sha256 should be {SHA}, is {found}; set aside as {path}.bad" in str(error.value)
    assert path.with_name("x.bin.bad").read_bytes() == BODY[:-1] + b"!"
    with pytest.raises(UserError, match=r"x\.bin\.bad2"):
        fetch.fetch(url, path, SHA, limits())
    server.add("/x.bin", BODY)
    fetch.fetch(url, path, SHA, limits())
    assert names(path) == ["x.bin", "x.bin.bad", "x.bin.bad2", "x.bin.version"]


def test_a_length_above_the_truth_ends_after_the_tries(server, path):
    url = server.add("/x.bin", Page(BODY, ranges=False, length=200_000))
    with pytest.raises(UserError, match=r"ended at 102400 of 200000 bytes, 3 times in a row"):
        fetch.fetch(url, path, None, limits())
    assert len(server.asked) == 3
    assert not path.exists()


def test_a_length_below_the_truth_is_found_by_the_checksum(server, path):
    url = server.add("/x.bin", Page(BODY, length=100))
    with pytest.raises(UserError, match="sha256 should be"):
        fetch.fetch(url, path, SHA, limits())
    assert path.with_name("x.bin.bad").read_bytes() == BODY[:100]


def test_more_than_the_bound_is_refused(server, path):
    url = server.add("/x.bin", BODY)
    with pytest.raises(UserError, match=r"102400 bytes, above --max-bytes 102399"):
        fetch.fetch(url, path, None, limits(max_bytes=102_399))
    fetch.fetch(url, path, None, limits(max_bytes=102_400))


def test_an_endless_file_is_refused(path):
    # no length: the end of the connection ends the file
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(UserError, match="more than --max-bytes 1000"):
            fetch.fetch(url, path, None, limits(max_bytes=1000))
        thread.join(5)
    assert path.with_name("x.bin.part").stat().st_size <= 1000


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusal_is_not_repeated(server, path, status):
    url = server.add("/x.bin", Page(BODY, script=[status]))
    with pytest.raises(UserError, match=f"HTTP {status} .*by hand"):
        fetch.fetch(url, path, None, limits())
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_passing_fault_is_repeated_after_growing_pauses(server, path, status):
    url = server.add("/x.bin", Page(BODY, script=[status] * 4))
    pauses = []
    fetch.fetch(url, path, SHA, limits(tries=5, pause=pauses.append))
    assert pauses == [1, 2, 4, 8]


def test_nobody_answers(path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UserError, match="3 times in a row"):
        fetch.fetch(f"http://127.0.0.1:{port}/x", path, None, limits())


def test_redirects_are_followed_to_http_alone(server, path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    server.add("/x.bin", BODY)
    fetch.fetch(server.add("/a", Page(redirect="/x.bin")), path, SHA, limits())
    for place in (f"file://{secret}", "ftp://127.0.0.1/x", "data:,x"):
        with pytest.raises(UserError, match=r"not allowed|only http and https"):
            fetch.fetch(server.add("/b", Page(redirect=place)), path.with_name("b"), None, limits())
    with pytest.raises(UserError, match="infinite loop"):
        fetch.fetch(server.add("/c", Page(redirect="/c")), path.with_name("c"), None, limits())
    assert not path.with_name("b").exists()
    assert not path.with_name("b.part").exists()


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "ftp://h/x", "x", "", "http://", "http://h:port/x", "http://u:p@h/x",
     "http://[x/"],
)  # fmt: skip
def test_other_addresses_are_refused(url, path):
    with pytest.raises(UserError):
        fetch.fetch(url, path, None, limits())


def test_spaces_and_letters_of_an_address_are_quoted():
    assert fetch.check_url("https://h/a b/ä?x=%20") == "https://h/a%20b/%C3%A4?x=%20"


def test_a_web_page_instead_of_a_file_is_refused(server, path):
    page = Page(b"<html>Sign in</html>", kind="text/html; charset=utf-8")
    with pytest.raises(UserError, match="web page"):
        fetch.fetch(server.add("/x.zip", page), path, None, limits())
    fetch.fetch(server.add("/x.html", page), path, None, limits())
    assert path.read_bytes() == page.body


def test_an_encoding_that_was_not_asked_for(server, path):
    page = Page(BODY, encoding="gzip")
    with pytest.raises(UserError, match="encoding gzip"):
        fetch.fetch(server.add("/x.json", page), path, None, limits())
    fetch.fetch(server.add("/x.tar.gz", page), path, SHA, limits())  # servers say so of such files


@pytest.mark.parametrize("held", ["", "[]", "{", '{"etag": 3}', "\ud800"])
def test_a_damaged_note_of_the_version_is_no_fault(server, path, held):
    url = server.add("/x.bin", BODY)
    path.parent.mkdir()
    path.with_name("x.bin.version").write_bytes(held.encode("utf-8", "surrogatepass"))
    path.with_name("x.bin.part").write_bytes(b"other")
    fetch.fetch(url, path, None, limits())
    assert path.read_bytes() == BODY
    assert json.loads(path.with_name("x.bin.version").read_text())["total"] == 102_400
