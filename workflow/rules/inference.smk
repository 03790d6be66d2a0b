# Answers of a language model with k demonstrations, for one dataset at a time (section 3.1).
include: "helpers/inference.smk"


# before the first job, not after hours of training
onstart:
    for _key in unset_keys():
        raise WorkflowError(
            f"{_key}: not set; export the key of the endpoint, whose `key` names this variable"
        )


ruleorder: infer_zero_shot > infer_sft > infer


rule infer:
    input:
        demonstrations=to_show,
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
    conda:
        "../../envs/infer.yaml"
    threads: infer_threads
    resources:
        mem_mb=infer_memory,
        runtime=growing(240),
        gpu=lambda w: 0 if is_endpoint(w.llm) else 1,
        endpoint=lambda w: 1 if is_endpoint(w.llm) else 0,
    params:
        model=lambda w: MODELS[w.llm]["name"] if is_endpoint(w.llm) else model(w.llm),
        flags=generation,
        how=lambda w, resources: f"{ENGINE} {ASKING}",
    shell:
        "python -m ruie.infer --demonstrations {input.demonstrations} --queries {input.queries}"
        " --pool {input.pool} --model {params.model:q} {params.flags} {params.how}"
        " --out {output} > {log} 2>&1"


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
    conda:
        "../../envs/infer.yaml"
    threads: infer_threads
    resources:
        mem_mb=infer_memory,
        runtime=growing(240),
        gpu=lambda w: 0 if is_endpoint(w.llm) else 1,
        endpoint=lambda w: 1 if is_endpoint(w.llm) else 0,
    params:
        model=lambda w: MODELS[w.llm]["name"] if is_endpoint(w.llm) else model(w.llm),
        flags=generation,
        how=lambda w, resources: f"{ENGINE} {ASKING}",
    shell:
        "python -m ruie.infer --queries {input.queries} --model {params.model:q} {params.flags}"
        " {params.how} --out {output} > {log} 2>&1"


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
    conda:
        "../../envs/infer.yaml"
    threads: 1 if config["inference"]["engine"] == "shared" else CARD_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=sft_generation,
        how=lambda w, resources: ENGINE,
    shell:
        "python -m ruie.sft.infer --queries {input.queries} --model {input.model:q} {params.flags}"
        " {params.how} --texts {output.texts} --out {output.table} > {log} 2>&1"
