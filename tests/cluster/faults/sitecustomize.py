"""Imported by every Python that has this folder on its path: gives scoring shards a fault.

After its first stored batch, the shard that finds a file `faults/<shard>` takes it away, so that a
second attempt finds none, and does what it says: hang, or take memory until it is ended.
"""

import os
import sys
import time


def strike(shard: str) -> None:
    path = os.path.join("faults", shard)
    try:
        with open(path) as file:
            fault = file.read()
        os.rename(path, f"{path}.taken")
    except OSError:
        return
    held = [bytearray(os.urandom(2**20)) * 3000 if fault == "memory" else None]
    time.sleep(900)
    del held


if "ruie.score" in sys.orig_argv:
    sys.path.insert(0, os.getcwd())
    from ruie import store

    add = store.Store.add

    def add_and_strike(*arguments: object) -> None:
        add(*arguments)  # type: ignore[arg-type]
        strike(sys.orig_argv[sys.orig_argv.index("--shard") + 1])

    store.Store.add = add_and_strike  # type: ignore[method-assign]
