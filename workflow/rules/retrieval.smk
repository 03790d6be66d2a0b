# The demonstrations of each system, for one dataset at a time.
include: "helpers/retrieval.smk"


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
    conda:
        "../../envs/train.yaml"
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
    conda:
        "../../envs/bm25.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=lambda w: syntax(
            *("retrieve", "bm25", "ranking", "search", "vectors"),
            *(("choose", "shown") if "choose" in SYSTEMS[w.system] else ()),
        )(w),
        flags=retriever_flags,
        files=lambda w: flags(**retriever_inputs(w)),
    shell:
        "python -m ruie.retrieve --queries {input.queries} --pool {input.pool} {params.files}"
        " {params.flags} --out {output} > {log} 2>&1"


# What demonstrations and queries have in common: `snakemake agreement`.
rule agreement:
    input:
        demonstrations=[path for _, path in retrieved()],
        queries=[f"{RUN}/test/{d}.parquet" for side in EVALUATED.values() for d in side],
        pool=f"{RUN}/pool.parquet",
        code=code("agreement"),
    output:
        f"{RUN}/agreement.parquet",
    log:
        f"{RUN}/logs/agreement.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        shown=agreeing,
    shell:
        "python -m ruie.agreement --demonstrations {params.shown} --queries {input.queries} --pool {input.pool}"
        " --out {output} > {log} 2>&1"
