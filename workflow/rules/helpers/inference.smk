# Functions and settings of the rules in ../inference.smk.

# How answers are made, which changes none: a parameter of the rules by a function that takes
# `resources`, for Snakemake runs nothing again for such a one. Prices go by LLM.
ENGINE = flags(engine=config["inference"]["engine"])
PRICES = [
    f"{llm}={','.join(str(entry['prices'][what]) for what in PRICED if what in entry['prices'])}"
    for llm, entry in MODELS.items()
    if "prices" in entry
]
ASKING = flags(
    **{
        name: config["inference"][name] for name in ("concurrency", "deadline", "tries")
    },
    prices=PRICES or None,
)


def to_show(w):
    """The table that k demonstrations of each query are taken from; a target may ask for a k that
    the configuration has not."""
    if int(w.k) > config["evaluation"]["depth"]:
        raise WorkflowError(
            f"k{w.k}: above evaluation.depth, {config['evaluation']['depth']} demonstrations "
            "retrieved; ask for fewer, or raise depth"
        )
    return f"{RUN}/demonstrations/{w.system}/{w.dataset}.parquet"


def generation(w):
    """Flags of the language model (Appendix B)."""
    entry, c = MODELS[w.llm], config["inference"]
    # tokenizer: the folder of another model, or a hub id
    tokenizer = entry.get("tokenizer")
    where = (
        {
            "endpoint": entry["endpoint"],
            "key": entry.get("key"),
            "tokenizer": model(tokenizer) if tokenizer in MODELS else tokenizer,
            "extra": as_json(entry.get("extra")),
        }
        if is_endpoint(w.llm)
        else {"backend": c["backend"], "dtype": dtype(w.llm)}
    )
    return flags(
        version="infer-1",
        system=w.get("system", ZERO_SHOT),
        llm=w.llm,
        k=w.get("k", 0),
        quotes=config["prompt"]["quotes"],
        max_input=c["max_input"],
        max_new=c["max_new"],
        stop=c["stop"],
        constrained=constrained(w.get("system", ZERO_SHOT)),
        chat=entry.get("chat", False),
        seed=config["seed"],
        # a choice is in its own order, the prompt by relevance as ever
        by_score="choose" in SYSTEMS.get(w.get("system"), {}),
        **where,
    )


def sft_generation(w):
    """The same of a supervised model, as far as its system says nothing else; without a stop, for
    JSON may go on over lines."""
    system, c = SYSTEMS[w.system], config["inference"]
    return flags(
        version="sft-1",
        format=system["format"],
        system=w.system,
        llm=w.llm,
        backend=sft_backend(w.system),
        dtype=dtype(w.llm),
        max_input=system.get("max_input", c["max_input"]),
        max_new=system.get("max_new", c["max_new"]),
        seed=config["seed"],
    )


def model_files(w):
    """What must be there before a model answers: its folder; for an endpoint a tokenizer at most."""
    name = MODELS[w.llm].get("tokenizer") if is_endpoint(w.llm) else w.llm
    return model(name) if name in MODELS else []


def infer_threads(w):
    shared = config["inference"]["engine"] == "shared"
    return 1 if shared or is_endpoint(w.llm) else CARD_THREADS


def infer_memory(w, attempt):
    return (2000 if is_endpoint(w.llm) else 16000) * attempt


def unset_keys():
    """Variables without a value that hold the keys of endpoints which this run is about to ask."""
    asked = {
        job.wildcards.llm
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in ("infer", "infer_zero_shot")
    }
    keys = {MODELS[llm].get("key") for llm in asked} - {None}
    return sorted(key for key in keys if not os.environ.get(key, "").strip())
