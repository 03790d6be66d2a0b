# The demonstrations of each system, for one dataset at a time.


def encoder(system):
    """Folder of a dense system's bi-encoder."""
    if is_trained(system):
        return f"{RUN}/retriever/{system}/model"
    return model(SYSTEMS[system]["model"])


def encoder_settings(system):
    """How a dense system turns samples into vectors: its own entry, or the training's settings."""
    source = config["retriever"] if is_trained(system) else SYSTEMS[system]
    return {
        "pooling": source["pooling"],
        "max_length": source.get("retrieval_length") or source["max_length"],
        "no_normalize": not source["normalize"],
    }


def texts(system, side):
    """Fields and prefix of a side's text."""
    source = config["retriever"] if is_trained(system) else SYSTEMS[system]
    return {name: source[name] for name in (f"{side}_fields", f"{side}_prefix")}


def retriever_inputs(w):
    """What a system needs besides queries and pool, by the flag that names it."""
    kind = SYSTEMS[w.system]["retriever"]
    if kind == "bm25":
        return {"index": f"{RUN}/bm25/pool/{SYSTEMS[w.system]['range']}"}
    if kind in ("dense", "trained"):
        return {
            "model": encoder(w.system),
            "vectors": f"{RUN}/vectors/{w.system}.parquet",
        }
    return {}


def retriever_flags(w):
    system = SYSTEMS[w.system]
    kind = "dense" if is_trained(w.system) else system["retriever"]
    own = {"random": {"seed": config["seed"]}}.get(kind, {})
    if kind == "bm25":
        own = {name: config["candidates"][name] for name in ("k1", "b")}
    if kind == "dense":
        own = encoder_settings(w.system) | texts(w.system, "query")
        own["own_dataset_first"] = system.get("own_dataset_first", False)
    return flags(
        retriever=kind,
        range=system["range"],
        depth=config["evaluation"]["depth"],
        **own,
    )


rule encode:
    input:
        pool=f"{RUN}/pool.parquet",
        model=lambda w: encoder(w.system),
    output:
        f"{RUN}/vectors/{{system}}.parquet",
    log:
        f"{RUN}/logs/encode/{{system}}.log",
    benchmark:
        f"{RUN}/logs/encode/{{system}}.tsv"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=lambda w: flags(
            version="encode-2",
            keywords=SYSTEMS[w.system]["keywords"],
            **encoder_settings(w.system),
            **texts(w.system, "demonstration"),
        ),
    shell:
        "python -m ruie.encode --pool {input.pool} --model {input.model:q} {params.flags}"
        " --out {output} > {log} 2>&1"


rule retrieve:
    input:
        unpack(retriever_inputs),
        queries=f"{RUN}/test/{{dataset}}.parquet",
        pool=f"{RUN}/pool.parquet",
    output:
        f"{RUN}/demonstrations/{{system}}/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/retrieve/{{system}}/{{dataset}}.log",
    group:
        "retrieve"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=syntax("retrieve", "bm25", "ranking", "search", "vectors"),
        flags=retriever_flags,
        files=lambda w: flags(**retriever_inputs(w)),
    shell:
        "python -m ruie.retrieve --queries {input.queries} --pool {input.pool} {params.files}"
        " {params.flags} --out {output} > {log} 2>&1"
