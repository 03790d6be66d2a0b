# Functions and settings of the rules in ../chain.smk.

CHAIN = f"{RUN}/chain/{config['chain']['split']}"
# systems whose demonstrations are the first of such a ranking
CHAINED = [
    s for s in config["evaluation"]["systems"] if SYSTEMS[s]["retriever"] == "chain"
]


def chain_datasets():
    """Datasets whose queries are measured; each must have the split."""
    c = config["chain"]
    known = EVALUATED[True] + EVALUATED[False]
    names = known if c["datasets"] == "all" else c["datasets"]
    for name in names:
        if name not in DATASETS:
            raise WorkflowError(
                f"chain.datasets: {name!r} is no dataset of the run; correct the name"
            )
        if not DOWNLOADING:
            in_one_line("chain.datasets: ", source_files, name, c["split"])
    return names


CHAIN_DATASETS = chain_datasets()


def curves():
    """The parts of the training's scores that models are trained on, by name."""
    c = config["chain"]
    if c["curves"] and not LEARNERS:
        raise WorkflowError(
            "chain.curves: evaluation.systems has no trained system to train on less; add one"
        )
    if c["curves"] and "candidates" in REWARDED:
        raise WorkflowError(
            "chain.curves: retriever.ranked_by: reward takes all candidates, whatever the LLM has "
            "scored; set it to llm"
        )
    least = max(config[s]["positives"] for s in ("reward", "retriever"))
    most = config["scoring"]["sample"] or config["candidates"]["k"]
    queries = config["candidates"]["queries_per_dataset"]
    for curve in c["curves"]:
        if queries is not None and curve["queries"] > queries:
            raise WorkflowError(
                f"chain.curves: {curve['queries']} queries are more than the {queries} of "
                "candidates.queries_per_dataset"
            )
        if not least < curve["candidates"] <= most:
            raise WorkflowError(
                f"chain.curves: {curve['candidates']} candidates are not between the positives, "
                f"{least}, and the {most} that are scored of each query"
            )
    return {f"q{e['queries']}-c{e['candidates']}": e for e in c["curves"]}


CURVES = curves() if CHAIN_DATASETS else {}


# Rankings of models, by name: of the run's models, and of the first trained system with less to
# learn from.
def chain_rewards():
    own = {name: f"{CHAIN}/rewards/{name.split('/')[1]}.parquet" for name in taught()}
    less = {
        f"{name}@{size}": f"{CHAIN}/rewards/{size}/{name.split('/')[1]}.parquet"
        for size in CURVES
        for name in list(taught())[:1]
        if needs_rewards(LEARNERS[0])
    }
    return own | less


def chain_retrievers():
    first = LEARNERS[:1]
    return learners() | {
        f"retriever/{s}@{size}": f"{RUN}/curves/{size}/retriever/{s}/model"
        for size in CURVES
        for s in first
    }


def chain_plain():
    """Retrievers that read no keyword tags."""
    plain = {f"retriever/{s}" for s in LEARNERS if not SYSTEMS[s]["keywords"]}
    return [name for name in chain_retrievers() if name.split("@")[0] in plain]


def check_chained():
    """A system that has nothing to take its demonstrations from, before the plan."""
    c, e = config["chain"], config["evaluation"]
    known = ["llm", "BM25", "random", *chain_rewards(), *chain_retrievers()]
    known += ["untrained"] * bool(LEARNERS)
    lacking = [n for n in EVALUATED[True] + EVALUATED[False] if n not in CHAIN_DATASETS]
    for name in CHAINED:
        if SYSTEMS[name]["ranking"] not in known:
            raise WorkflowError(
                f"systems.{name}.ranking: no such ranking {SYSTEMS[name]['ranking']!r}; one of {known}"
            )
        if lacking or c["split"] != "test":
            raise WorkflowError(
                f"evaluation.systems: {name} has no ranking for the test queries of "
                f"{(lacking or ['any dataset'])[0]}; set chain.datasets: all and chain.split: test"
            )
        if c["queries_per_dataset"] is not None and (
            e["queries_per_dataset"] is None
            or e["queries_per_dataset"] > c["queries_per_dataset"]
        ):
            raise WorkflowError(
                f"evaluation.systems: {name} has rankings for chain.queries_per_dataset, "
                f"{c['queries_per_dataset']}, of evaluation.queries_per_dataset, "
                f"{e['queries_per_dataset']}; make them the same"
            )
        if max(e["k"], default=0) > max(c["candidates"]):
            raise WorkflowError(
                f"evaluation.k: {max(e['k'])} demonstrations of {max(c['candidates'])} "
                "chain.candidates; raise these"
            )


check_chained()


def nothing_to_measure(wildcards):
    raise WorkflowError(
        "chain.datasets: names no dataset; name those whose queries are measured, or all"
    )
