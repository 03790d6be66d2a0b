"""Where the originals of a registry's datasets lie: its ``source`` entries, read and checked."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from ruie import fetch, registry, unpack
from ruie.cli import UserError

#: Folder below the root for what is being fetched, and the records of what came.
HIDDEN = ".downloads"


@dataclass(frozen=True)
class File:
    """``to``: a plain file's name, or the folder that an archive is unpacked in, below ``into``;
    ``key``: its name while it is fetched."""

    url: str
    to: str
    sha256: str | None
    archive: str
    key: str


@dataclass(frozen=True)
class Dataset:
    """A row of the registry. ``into``: the folder below the root that its files fill; ``todo``:
    what to do by hand where it has no ``files``."""

    name: str
    path: str
    into: str
    files: tuple[File, ...]
    licence: str | None
    todo: str | None

    @property
    def inner(self) -> PurePosixPath:
        """Its data's place in the folder."""
        return PurePosixPath(self.path).relative_to(self.into)


def read(path: Path) -> list[Dataset]:
    """The registry's datasets. ``UserError`` for one that is no registry or contradicts itself."""
    rows = registry.load(path).values()
    try:
        found = [_dataset(row) for row in rows]
    except (ValueError, UserError) as error:
        raise UserError(f"{path}: not a registry to fetch from ({error}); mend it") from None
    filled: dict[str, Dataset] = {}
    for d in found:
        other = filled.setdefault(d.into, d) if d.files else d
        if other.files != d.files:
            raise UserError(
                f"{path}: {other.name} and {d.name} fill {d.into} from different sources; give "
                "both the same, or other folders"
            )
    for d in filled.values():
        for outer in map(str, PurePosixPath(d.into).parents):
            if outer in filled:
                raise UserError(
                    f"{path}: {d.into} of {d.name} lies in {outer} of {filled[outer].name}; a "
                    "folder is filled by one source"
                )
    return found


def _dataset(row: dict[str, Any]) -> Dataset:
    name, path, source = row["name"], row["path"], row.get("source", {})
    given = source.get("files", [])
    files = tuple(_file(name, item, source.get("archive")) for item in given)
    if not files:
        return Dataset(name, path, path, (), source.get("licence"), source.get("manual"))
    plain = [file.to for file in files if file.archive == "none"]
    if len(set(plain)) != len(plain) or len({file.url for file in files}) != len(files):
        raise ValueError(f"{name}: two files of one name or address; set `to`")
    into = _below(source.get("into", path), name)
    if into == "." or not PurePosixPath(_below(path, name)).is_relative_to(into):
        raise ValueError(f"{name}: path must lie in the folder `into`, and that in the root")
    return Dataset(name, _below(path, name), into, files, source.get("licence"), None)


def _file(name: str, item: dict[str, str], archive: str | None) -> File:
    url, sha256 = item["url"], item.get("sha256")
    fetch.check_url(url)
    last = PurePosixPath(unquote(urlsplit(url).path)).name
    archive = archive or unpack.kind(last)
    to = _below(item.get("to") or ("." if archive != "none" else last), name)
    if archive == "none" and to == ".":
        raise ValueError(f"{name}: {url}: no file name; set `to`")
    # two addresses may end alike
    key = hashlib.sha256(url.encode()).hexdigest()[:8] + "-" + re.sub(r"[^\w.-]", "_", last)[-80:]
    return File(url, to, sha256 and sha256.lower(), archive, key)


def _below(path: str, name: str) -> str:
    """A path that goes down only."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or HIDDEN in pure.parts or "\0" in path:
        raise ValueError(f"{name}: {path!a} must lie below the root that is filled")
    return str(pure)
