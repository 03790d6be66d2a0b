# Answers of a language model with k demonstrations, for one dataset at a time (section 3.1).


def generation(w):
    """Flags of the language model (Appendix B)."""
    entry, c = MODELS[w.llm], config["inference"]
    return flags(
        version="infer-1",
        system=w.get("system", ZERO_SHOT),
        llm=w.llm,
        k=w.get("k", 0),
        quotes=config["prompt"]["quotes"],
        backend=c["backend"],
        engine=c["engine"],
        dtype=dtype(w.llm),
        max_input=c["max_input"],
        max_new=c["max_new"],
        stop=c["stop"],
        constrained=c["constrained"],
        chat=entry.get("chat", False),
        seed=config["seed"],
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
        engine=c["engine"],
        dtype=dtype(w.llm),
        max_input=system.get("max_input", c["max_input"]),
        max_new=system.get("max_new", c["max_new"]),
        seed=config["seed"],
    )


ruleorder: infer_zero_shot > infer_sft > infer


rule infer:
    input:
        demonstrations=f"{RUN}/demonstrations/{{system}}/{{dataset}}.parquet",
        queries=f"{RUN}/test/{{dataset}}.parquet",
        pool=f"{RUN}/pool.parquet",
        model=lambda w: model(w.llm),
    output:
        f"{RUN}/predictions/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/infer/{{system}}/{{llm}}/k{{k}}/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/infer/{{system}}/{{llm}}/k{{k}}/{{dataset}}.tsv"
    group:
        "infer"
    threads: 1 if config["inference"]["engine"] == "shared" else 16
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=generation,
    shell:
        "python -m ruie.infer --demonstrations {input.demonstrations} --queries {input.queries}"
        " --pool {input.pool} --model {input.model:q} {params.flags} --out {output} > {log} 2>&1"


rule infer_zero_shot:
    input:
        queries=f"{RUN}/test/{{dataset}}.parquet",
        model=lambda w: model(w.llm),
    output:
        f"{RUN}/predictions/{ZERO_SHOT}/{{llm}}/k0/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/infer/{ZERO_SHOT}/{{llm}}/k0/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/infer/{ZERO_SHOT}/{{llm}}/k0/{{dataset}}.tsv"
    group:
        "infer"
    threads: 1 if config["inference"]["engine"] == "shared" else 16
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=generation,
    shell:
        "python -m ruie.infer --queries {input.queries} --model {input.model:q} {params.flags}"
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
    threads: 1 if config["inference"]["engine"] == "shared" else 16
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=sft_generation,
    shell:
        "python -m ruie.sft.infer --queries {input.queries} --model {input.model:q} {params.flags}"
        " --texts {output.texts} --out {output.table} > {log} 2>&1"
