"""Unpack zip and tar archives of unknown origin: nothing outside the folder, bounded in size.

Only folders and plain files are ever written, so no member can be written through a link: a link
to a file of the archive becomes a copy of that file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ruie.cli import UserError, log

CHUNK = 1 << 18
MAX_DEPTH = 64
#: Extended headers of a tar are read into memory whole; a path or a few attributes fit easily.
MAX_HEADER = 1 << 20
#: What may follow a tar's end mark: zeros, to fill a block.
MAX_PADDING = 16 << 20
_MAGIC: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_ENDINGS = {
    "zip": (".zip",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError,
           NotImplementedError, RuntimeError)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    max_bytes: int = 100 << 30
    max_members: int = 1_000_000


@dataclass(frozen=True)
class Member:
    """``link``: where it points, from the archive's root; ``open`` is None for a folder."""

    name: str
    open: Callable[[], IO[bytes]] | None
    link: str | None = None


def kind(name: str) -> str:
    """zip, tar or none, by a file's name."""
    return next((k for k, ends in _ENDINGS.items() if name.lower().endswith(ends)), "none")


def unpack(archive: Path, form: str, folder: Path, limits: Limits) -> None:
    """Unpack a ``form`` (zip or tar) archive into ``folder``. ``UserError`` for a member that would
    leave the folder, is no file, folder or link, or comes twice; for a damaged archive; and for one
    above the limits. What was written until then stays."""
    folder.mkdir(parents=True, exist_ok=True)
    left, links = limits.max_bytes, []
    try:
        for number, member in enumerate(_zip(archive) if form == "zip" else _tar(archive), 1):
            if number > limits.max_members:
                raise UserError(
                    f"{archive}: more than {limits.max_members} members; raise --max-members"
                )
            place = folder / _inside(member.name, archive)
            if member.link is not None:
                links.append((place, folder / _inside(member.link, archive, "link to ")))
            elif member.open is None:
                place.mkdir(parents=True, exist_ok=True)
            else:
                with member.open() as stream:
                    left = _copy(stream, place, left, archive, limits)
        _copy_links(links, left, archive, limits)
    except FileExistsError as error:
        raise UserError(
            f"{archive}: {str(error.filename)!a} comes twice (or in two spellings); unpack by hand"
        ) from None
    except (OSError, *_DAMAGE) as error:
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"{archive}: cannot be unpacked: {error.strerror}") from None
        raise UserError(
            f"{archive}: not a whole {form} archive ({str(error)!a}); delete it and fetch it again"
        ) from None


def _inside(name: str, archive: Path, what: str = "") -> str:
    """A member's path, whose parts all go down. Archives from Windows may hold backslashes."""
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if plain.startswith("/") or ".." in parts or re.match("[A-Za-z]:", plain) or "\0" in plain:
        raise UserError(
            f"{archive}: {what}{name!a} would leave its folder; nothing is unpacked, get the data "
            "elsewhere"
        )
    if len(parts) > MAX_DEPTH:
        raise UserError(f"{archive}: {name[:60]!a}... lies more than {MAX_DEPTH} folders deep")
    return "/".join(parts)


def _copy(stream: IO[bytes], place: Path, left: int, archive: Path, limits: Limits) -> int:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "xb") as file:
        while piece := stream.read(min(CHUNK, left + 1)):
            left -= len(piece)
            if left < 0:
                raise UserError(
                    f"{archive}: more than {limits.max_bytes} bytes unpacked; raise --max-unpacked "
                    "if the data is that large"
                )
            file.write(piece)
    return left


def _copy_links(links: list[tuple[Path, Path]], left: int, archive: Path, limits: Limits) -> None:
    """Copies in place of links; again while any was made, for links to links."""
    waiting = len(links) + 1
    while len(links) < waiting:
        waiting, ready = len(links), [pair for pair in links if pair[1].is_file()]
        links = [pair for pair in links if not pair[1].is_file()]
        for place, target in ready:
            with open(target, "rb") as stream:
                left = _copy(stream, place, left, archive, limits)
    if links:
        log.warning(
            "%s: %d links left out, which point to a folder or to nothing (the first: %a)",
            archive, len(links), links[0][0].name,
        )  # fmt: skip


def _target(name: str, link: str) -> str:
    """Where a symbolic link points, from the archive's root; an absolute one stays absolute."""
    folder = posixpath.dirname(name.replace("\\", "/").rstrip("/"))
    return posixpath.normpath(posixpath.join(folder, link.replace("\\", "/")))


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            name, form = info.filename, stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & 1:
                raise UserError(f"{archive}: {name!a} is encrypted; unpack it by hand")
            if form not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                raise _special(archive, name)
            if form == stat.S_IFLNK:
                with file.open(info) as stream:
                    to = stream.read(4096).decode("utf-8", "surrogateescape")
                yield Member(name, None, _target(name, to))
            elif info.is_dir() or form == stat.S_IFDIR:
                yield Member(name, None)
            else:
                yield Member(name, lambda info=info: file.open(info))  # type: ignore[misc]


class _Header(tarfile.TarInfo):
    """tarfile takes a damaged header, or the end of a cut file, for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        if len(buf) == tarfile.BLOCKSIZE and not any(buf):
            return super().frombuf(buf, encoding, errors)  # raises what ends the archive
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise ValueError(f"damaged or cut short: {error}") from None
        plain = (*tarfile.REGULAR_TYPES, *tarfile.SUPPORTED_TYPES)
        extended = info.type not in plain or info.type.startswith((b"L", b"K"))
        if info.size < 0 or (extended and info.size > MAX_HEADER):
            raise ValueError(f"a header of {info.size} bytes")
        return info


def _tar(archive: Path) -> Iterator[Member]:
    with open(archive, "rb") as raw:
        start = raw.read(6)
    opener = next((o for magic, o in _MAGIC.items() if start.startswith(magic)), open)
    with (
        opener(archive, "rb") as stream,
        # read in one go: going back in a compressed file means to start again
        tarfile.open(fileobj=stream, mode="r|", tarinfo=_Header) as file,
    ):
        for info in file:
            if info.isdir():
                yield Member(info.name, None)
            elif info.issym():
                yield Member(info.name, None, _target(info.name, info.linkname))
            elif info.islnk():
                yield Member(info.name, None, info.linkname)
            elif info.isreg():
                yield Member(info.name, lambda info=info: _opened(file, info))  # type: ignore[misc]
            else:
                raise _special(archive, info.name)
        # to the end, where a compressed file has its checksum
        for _ in range(MAX_PADDING // CHUNK):
            if not stream.read(CHUNK):
                break


def _opened(file: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = file.extractfile(info)
    if stream is None:
        raise ValueError(f"{info.name}: holds no data")
    return stream


def _special(archive: Path, name: str) -> UserError:
    return UserError(
        f"{archive}: {name!a} is a device, a pipe or the like; nothing is unpacked, get the data "
        "elsewhere"
    )
