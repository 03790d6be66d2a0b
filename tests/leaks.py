"""Whether a secret has got anywhere that it must not. Nothing here is a test."""

from __future__ import annotations

import base64
from pathlib import Path


def spellings(secret: str) -> list[bytes]:
    """A secret as bytes: plain, in hexadecimal, and in base64 at each of its three alignments."""
    raw = secret.encode()
    found = [raw, raw.hex().encode()]
    for before in range(3):
        # the characters at both ends depend on what stands beside them
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + raw).rstrip(b"=")
            found.append(text[-(-before * 8 // 6) : -1])
    return found


def places(secret: str, folder: Path, *printed: str) -> list[str]:
    """Files below ``folder``, hidden ones too, and printed texts that hold the secret, by name."""
    wanted = spellings(secret)
    texts = {f"printed text {n}": text.encode() for n, text in enumerate(printed)}
    files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
    texts |= {str(p.relative_to(folder)): str(p).encode() + p.read_bytes() for p in files}
    return sorted(name for name, text in texts.items() if any(w in text for w in wanted))
