# Answers of a language model with k demonstrations, for one dataset at a time (section 3.1).


# Read when a command is made, and no params: none of it changes an answer. Prices go by LLM.
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
        constrained=c["constrained"],
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


# before the first job, not after hours of training
onstart:
    for _key in unset_keys():
        raise WorkflowError(
            f"{_key}: not set; export the key of the endpoint, whose `key` names this variable"
        )


ruleorder: infer_zero_shot > infer_sft > infer


rule infer:
    input:
        demonstrations=f"{RUN}/demonstrations/{{system}}/{{dataset}}.parquet",
        queries=f"{RUN}/test/{{dataset}}.parquet",
        pool=f"{RUN}/pool.parquet",
        model=model_files,
    output:
        f"{RUN}/predictions/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/infer/{{system}}/{{llm}}/k{{k}}/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/infer/{{system}}/{{llm}}/k{{k}}/{{dataset}}.tsv"
    group:
        "infer"
    threads: infer_threads
    resources:
        mem_mb=infer_memory,
        runtime=growing(240),
        gpu=lambda w: 0 if is_endpoint(w.llm) else 1,
        endpoint=lambda w: 1 if is_endpoint(w.llm) else 0,
    params:
        model=lambda w: MODELS[w.llm]["name"] if is_endpoint(w.llm) else model(w.llm),
        flags=generation,
    shell:
        "python -m ruie.infer --demonstrations {input.demonstrations} --queries {input.queries}"
        " --pool {input.pool} --model {params.model:q} {params.flags} {ENGINE} {ASKING} --out {output}"
        " > {log} 2>&1"


rule infer_zero_shot:
    input:
        queries=f"{RUN}/test/{{dataset}}.parquet",
        model=model_files,
    output:
        f"{RUN}/predictions/{ZERO_SHOT}/{{llm}}/k0/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/infer/{ZERO_SHOT}/{{llm}}/k0/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/infer/{ZERO_SHOT}/{{llm}}/k0/{{dataset}}.tsv"
    group:
        "infer"
    threads: infer_threads
    resources:
        mem_mb=infer_memory,
        runtime=growing(240),
        gpu=lambda w: 0 if is_endpoint(w.llm) else 1,
        endpoint=lambda w: 1 if is_endpoint(w.llm) else 0,
    params:
        model=lambda w: MODELS[w.llm]["name"] if is_endpoint(w.llm) else model(w.llm),
        flags=generation,
    shell:
        "python -m ruie.infer --queries {input.queries} --model {params.model:q} {params.flags} {ENGINE} {ASKING}"
        " --out {output} > {log} 2>&1"


# Supervised baselines; `texts` is what the model was asked and said, word for word.
rule infer_sft:
    input:
        queries=f"{RUN}/test/{{dataset}}.parquet",
        model=lambda w: model(w.llm),
    output:
        table=f"{RUN}/predictions/{{system}}/{{llm}}/k0/{{dataset}}.parquet",
        texts=f"{RUN}/texts/{{system}}/{{llm}}/{{dataset}}.jsonl",
    log:
        f"{RUN}/logs/infer/{{system}}/{{llm}}/k0/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/infer/{{system}}/{{llm}}/k0/{{dataset}}.tsv"
    wildcard_constraints:
        system=one_of(SFT) or "-",
    group:
        "infer"
    threads: 1 if config["inference"]["engine"] == "shared" else CARD_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=sft_generation,
    shell:
        "python -m ruie.sft.infer --queries {input.queries} --model {input.model:q} {params.flags}"
        " {ENGINE} --texts {output.texts} --out {output.table} > {log} 2>&1"
