# Functions and settings of the rules in ../retrieval.smk.


def encoder(system):
    """Folder of a dense system's bi-encoder."""
    if is_trained(system):
        return f"{RUN}/retriever/{made_as(system)}/model"
    return model(SYSTEMS[system]["model"])


def encoder_settings(system):
    """How a dense system turns samples into vectors: its own entry, or the training's settings."""
    source = config["retriever"] if is_trained(system) else SYSTEMS[system]
    return {
        "pooling": source["pooling"],
        "max_length": source.get("retrieval_length") or source["max_length"],
        "no_normalize": not source["normalize"],
        "dtype": config["retriever"]["retrieval_dtype"],
    }


# BM25's texts: the sample without and with its answer
BM25_FIELDS = {
    "query_fields": ["task", "schema", "input"],
    "demonstration_fields": ["task", "schema", "input", "output"],
}
# Sides that the line of task and labels stands before.
LABELLED = {"none": (), "query": ("query",), "both": ("query", "demonstration")}


def fields(system):
    """Fields of the texts of both sides, by the flag that takes them."""
    entry = SYSTEMS[system]
    usual = config["retriever"] if is_trained(system) else BM25_FIELDS
    sides = LABELLED[entry.get("schema_text", "none")]
    return {
        f"{side}_fields": ["labels"] * (side in sides)
        + entry.get(f"{side}_fields", usual[f"{side}_fields"])
        for side in ("query", "demonstration")
    }


def texts(system, side):
    """Fields and prefix of a side's text."""
    source = config["retriever"] if is_trained(system) else SYSTEMS[system]
    name, prefix = f"{side}_fields", f"{side}_prefix"
    return {name: fields(system)[name], prefix: source[prefix]}


def bm25_index(system):
    kind = "bm25_labels" if SYSTEMS[system].get("schema_text") == "both" else "bm25"
    return f"{RUN}/{kind}/pool/{SYSTEMS[system]['range']}"


def retriever_inputs(w):
    """What a system needs besides queries and pool, by the flag that names it."""
    kind = SYSTEMS[w.system]["retriever"]
    if kind == "bm25":
        return {"index": bm25_index(w.system)}
    if kind in ("dense", "trained"):
        found = {
            "model": encoder(w.system),
            "vectors": f"{RUN}/vectors/{made_as(w.system)}.parquet",
        }
        if "bm25_first" in (system := SYSTEMS[w.system]):
            place = f"{RUN}/bm25_first/{system['range']}-{system['bm25_first']}"
            found["among"] = f"{place}/{w.dataset}.parquet"
        return found
    return {}


def retriever_flags(w):
    system = SYSTEMS[w.system]
    kind = "dense" if is_trained(w.system) else system["retriever"]
    own = {"random": {"seed": config["seed"]}}.get(kind, {})
    if kind == "bm25":
        own = {name: config["candidates"][name] for name in ("k1", "b")}
        if system.get("schema_text", "none") != "none":
            own["query_fields"] = fields(w.system)["query_fields"]
    if kind == "dense":
        own = encoder_settings(w.system) | texts(w.system, "query")
        own["own_dataset_first"] = system.get("own_dataset_first", False)
        if "bm25_weight" in system:
            own["among_weight"] = system["bm25_weight"]
    if "choose" in system:
        own |= {"choose" if k == "by" else k: v for k, v in system["choose"].items()}
    return flags(
        retriever=kind,
        range=system["range"],
        depth=config["evaluation"]["depth"],
        **own,
    )


def retrieved():
    """(system, its demonstrations) for each dataset."""
    return [
        (system, f"{RUN}/demonstrations/{system}/{dataset}.parquet")
        for system in RETRIEVING
        for held in EVALUATED
        for dataset in EVALUATED[held]
    ]


def retrieved_paths():
    """``retrieved()`` as system=path, for bash."""
    return " ".join(
        f"{system}={RUN}/demonstrations/{system}/{answered()}.parquet"
        for system in RETRIEVING
    )


def agreeing(w):
    """What ruie.agreement compares."""
    if not RETRIEVING or not config["evaluation"]["k"]:
        raise WorkflowError(
            "agreement: nothing is shown; give evaluation.systems one that retrieves, and "
            "evaluation.k one number"
        )
    return f"{retrieved_paths()} {flags(k=config['evaluation']['k'])}"
