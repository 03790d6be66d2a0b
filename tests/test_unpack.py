"""Unpacking archives: what they hold, and what they must not be able to do."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import tempfile
import zipfile
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import unpack
from ruie.cli import UserError
from ruie.unpack import Limits


def make_zip(path, *members):
    """``members``: (name, bytes[, mode])."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data, *mode in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = (mode[0] if mode else stat.S_IFREG | 0o644) << 16
            file.writestr(info, data)
    return path


def make_tar(path, *members, mode="w"):
    """``members``: (name, bytes), or (name, type, link)."""
    with tarfile.open(path, mode) as file:
        for name, data, *link in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, bytes) and not link:
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
            else:
                info.type, info.linkname = data, link[0]
                file.addfile(info)
    return path


def make(form, path, *members):
    return make_zip(path, *members) if form == "zip" else make_tar(path, *members)


def held(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if not p.is_dir()}


def unpacked(archive, form, tmp_path, **limits):
    folder = tmp_path / "out" / "tree"
    unpack.unpack(archive, form, folder, Limits(**limits))
    return held(folder)


def refused(archive, form, tmp_path, match, **limits):
    """The archive is refused and nothing lies outside the folder, nor any link in it."""
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=match):
        unpacked(archive, form, tmp_path, **limits)
    new = set(tmp_path.rglob("*")) - before - {tmp_path / "out", tmp_path / "out" / "tree"}
    assert all(p.is_relative_to(tmp_path / "out" / "tree") for p in new)
    assert not [p for p in new if p.is_symlink()]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.zip", "zip"), ("A.ZIP", "zip"), ("a.tar", "tar"), ("a.tar.gz", "tar"), ("a.tgz", "tar"),
     ("a.tar.bz2", "tar"), ("a.tar.xz", "tar"), ("a.json", "none"), ("a.gz", "none"), ("", "none")],
)  # fmt: skip
def test_the_kind_is_told_by_the_name(name, kind):
    assert unpack.kind(name) == kind


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_are_unpacked(tmp_path, mode):
    big = bytes(range(256)) * 4000  # above a buffer, so that members are skipped and read in turn
    archive = make_tar(
        tmp_path / "a", ("d", tarfile.DIRTYPE, ""), ("d/ä 😀.json", b"[]"), ("./big", big),
        ("d/x/y", b""), (("long" * 60) + "/f", b"1"), mode=mode,
    )  # fmt: skip
    want = {"d/ä 😀.json": b"[]", "big": big, "d/x/y": b"", "long" * 60 + "/f": b"1"}
    assert unpacked(archive, "tar", tmp_path) == want


def test_zips_are_unpacked(tmp_path):
    archive = make_zip(tmp_path / "a", ("d/", b""), ("d/ä.json", b"[]"), ("w\\in\\f", b"1"))
    assert unpacked(archive, "zip", tmp_path) == {"d/ä.json": b"[]", "w/in/f": b"1"}
    assert (tmp_path / "out/tree/d").is_dir()


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "a/../b", "/evil", "//evil", "C:/evil", "c:evil", "..\\evil",
     "\\evil", "a\\..\\..\\evil", "..", "./../evil"],
)  # fmt: skip
def test_no_member_leaves_the_folder(tmp_path, form, name):
    archive = make(form, tmp_path / "a", ("fine", b"1"), (name, b"evil"))
    refused(archive, form, tmp_path, "would leave its folder")


LINKS = {
    "absolute": ("link", "/etc/hostname"),
    "upwards": ("d/link", "../../secret"),
    "hidden": ("d/link", "x/../../../secret"),
    "windows": ("link", "..\\secret"),
}


@pytest.mark.parametrize("case", LINKS)
@pytest.mark.parametrize("form", ["zip", "symlink", "hardlink"])
def test_no_link_points_outside(tmp_path, form, case):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("mine")
    name, to = LINKS[case]
    if form == "zip":
        archive = make_zip(tmp_path / "a", (name, to.encode(), stat.S_IFLNK | 0o777))
    else:
        kind = tarfile.SYMTYPE if form == "symlink" else tarfile.LNKTYPE
        archive = make_tar(tmp_path / "a", (name, kind, to))
    refused(archive, "zip" if form == "zip" else "tar", tmp_path, "'.* would leave its folder")


def test_nothing_is_written_through_a_link(tmp_path):
    (tmp_path / "out" / "x").mkdir(parents=True)
    archive = make_tar(
        tmp_path / "a", ("tree/d/f", b"1"), ("up", tarfile.SYMTYPE, "tree/d"), ("up/evil", b"2")
    )
    # the link never exists: what would go through it lies in a folder of its own
    assert unpacked(archive, "tar", tmp_path) == {"tree/d/f": b"1", "up/evil": b"2"}
    # links that together lead out ("a" is here, so "a/.." would be above): each is refused by words
    archive = make_tar(
        tmp_path / "b", ("a", tarfile.SYMTYPE, "."), ("b", tarfile.SYMTYPE, "a/../../x")
    )
    refused(archive, "tar", tmp_path, "would leave")


def test_links_to_files_become_copies(tmp_path, caplog):
    archive = make_tar(
        tmp_path / "a", ("d/second", tarfile.SYMTYPE, "../first"), ("f", b"text"),
        ("first", tarfile.SYMTYPE, "./f"), ("hard", tarfile.LNKTYPE, "f"),
        ("folder", tarfile.SYMTYPE, "d"), ("loop", tarfile.SYMTYPE, "loop"),
    )  # fmt: skip
    want = dict.fromkeys(("f", "first", "d/second", "hard"), b"text")
    assert unpacked(archive, "tar", tmp_path) == want
    assert "2 links left out" in caplog.text
    archive = make_zip(tmp_path / "z", ("f", b"text"), ("d/link", b"../f", stat.S_IFLNK | 0o777))
    unpack.unpack(archive, "zip", tmp_path / "zip", Limits())
    assert held(tmp_path / "zip") == {"f": b"text", "d/link": b"text"}


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "a", ("dev", kind, ""))
    refused(archive, "tar", tmp_path, "'dev' is a device")
    mode = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK}.get(kind, stat.S_IFIFO)
    refused(make_zip(tmp_path / "z", ("dev", b"", mode)), "zip", tmp_path, "'dev' is a device")


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_bombs_are_bounded(tmp_path, form):
    members = [(f"f{i}", bytes(1000)) for i in range(10)]
    archive = make(form, tmp_path / "a", *members)
    assert len(unpacked(archive, form, tmp_path / "1", max_bytes=10_000, max_members=10)) == 10
    refused(archive, form, tmp_path / "2", "more than 9999 bytes", max_bytes=9_999)
    refused(archive, form, tmp_path / "3", "more than 9 members", max_members=9)
    assert sum(map(len, held(tmp_path / "2/out/tree").values())) == 9_000  # what was room for


def test_a_zip_that_lies_about_its_sizes(tmp_path):
    archive = make_zip(tmp_path / "a", ("f", bytes(1_000_000)))
    data = bytearray(archive.read_bytes())
    real = struct.pack("<L", 1_000_000)
    assert data.count(real) == 2  # in the member's head and in the directory
    archive.write_bytes(data.replace(real, struct.pack("<L", 10)))
    refused(archive, "zip", tmp_path, "not a whole zip archive")
    # links that multiply one file count too: 3 x 1000 with the copies
    archive = make_tar(
        tmp_path / "b", ("f", bytes(1000)), ("g", tarfile.LNKTYPE, "f"), ("h", tarfile.LNKTYPE, "f")
    )
    refused(archive, "tar", tmp_path / "2", "more than 2999 bytes", max_bytes=2_999)


def test_a_header_too_large_for_memory_is_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refused(tmp_path / "a", "tar", tmp_path, "a header of 1099511627776 bytes")


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_names_that_clash_are_refused(tmp_path, form):
    with pytest.warns(UserWarning, match="Duplicate") if form == "zip" else nullcontext():
        archive = make(form, tmp_path / "a", ("f", b"1"), ("f", b"2"))
    refused(archive, form, tmp_path / "1", "comes twice")
    archive = make(form, tmp_path / "b", ("f", b"1"), ("f/g", b"2"))
    refused(archive, form, tmp_path / "2", "comes twice|cannot be unpacked")
    archive = make(form, tmp_path / "c", ("/".join("d" * 70), b"1"))
    refused(archive, form, tmp_path / "3", "more than 64 folders deep")


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a", ("f", b"1"))
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    archive.write_bytes(data)
    refused(archive, "zip", tmp_path, "'f' is encrypted")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_cut_tar_is_refused_wherever_it_is_cut(tmp_path, mode):
    archive = make_tar(tmp_path / "a", ("f", bytes(700)), ("g", b"2"), mode=mode)
    whole = archive.read_bytes()
    # a tar's data ends after 512 + 1024 + 512 + 512 bytes; the rest is the end mark
    cuts = range(0, 2561, 256) if mode == "w" else range(0, len(whole) - 1, 16)
    for cut in cuts:
        archive.write_bytes(whole[:cut])
        with pytest.raises(UserError):
            unpack.unpack(archive, "tar", tmp_path / str(cut), Limits())


def test_a_missing_archive_is_one_line(tmp_path):
    for form in ("zip", "tar"):
        with pytest.raises(UserError, match="cannot be unpacked: No such file"):
            unpack.unpack(tmp_path / "none", form, tmp_path / "out", Limits())


@given(
    form=st.sampled_from(["zip", "tar"]),
    at=st.integers(0, 5000),
    noise=st.binary(min_size=1, max_size=40),
    cut=st.integers(0, 5000) | st.none(),
)
def test_noise_is_unpacked_or_refused(form, at, noise, cut):
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)
        archive = make(form, root / "a", ("d/f", b"text" * 100), ("g", bytes(500)), ("h/i", b"1"))
        data = bytearray(archive.read_bytes())
        at %= len(data)
        data[at : at + len(noise)] = noise
        archive.write_bytes(data[:cut])
        with suppress(UserError):
            unpack.unpack(archive, form, root / "out" / "tree", Limits(10_000, 100))
        assert sorted(p.name for p in root.iterdir()) == ["a", "out"]
        assert [p.name for p in (root / "out").iterdir()] == ["tree"]
        assert sum(map(len, held(root / "out" / "tree").values())) <= 10_000
