# Datasets into the normalised form, the candidate pool, and the queries (section 4.1).
rule normalize:
    input:
        data=lambda w: source_files(w.dataset, w.split),
    output:
        data=f"{RUN}/data/{{dataset}}/{{split}}.parquet",
        report=f"{RUN}/data/{{dataset}}/{{split}}.report.parquet",
    log:
        f"{RUN}/logs/normalize/{{dataset}}-{{split}}.log",
    # bad data must show itself before any long work begins
    priority: 100
    group:
        "data"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=reader_syntax,
        flags=lambda w: flags(
            format=DATASETS[w.dataset]["format"],
            task=DATASETS[w.dataset]["task"],
            input=DATASETS[w.dataset]["path"],
            split=w.split,
            dataset=w.dataset,
            files=as_json(DATASETS[w.dataset].get("files")),
            labels=as_json(DATASETS[w.dataset].get("labels")),
            option=[
                f"{k}={v}" for k, v in DATASETS[w.dataset].get("options", {}).items()
            ]
            or None,
            annotated_only=DATASETS[w.dataset].get("annotated_only", False),
            repair=DATASETS[w.dataset]["repair"],
            max_bad=config["datasets"]["max_bad"],
        ),
    shell:
        "python -m ruie.normalize {params.flags} --out {output.data} --report {output.report}"
        " > {log} 2>&1"


# The candidate pool, and the part of it that training may see: held-out samples are "completely
# unseen during training" (4.1), as demonstrations too.
rule pool:
    input:
        data=lambda w: [
            f"{RUN}/data/{dataset}/train.parquet"
            for dataset in (POOL if w.part == "pool" else TRAINING)
        ],
    output:
        f"{RUN}/{{part}}.parquet",
    log:
        f"{RUN}/logs/{{part}}.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        code=syntax("sample"),
        flags=flags(limit=config["candidates"]["pool_per_dataset"], seed=config["seed"]),
    shell:
        "python -m ruie.sample --input {input.data} {params.flags} --out {output} > {log} 2>&1"


rule training_queries:
    input:
        data=[f"{RUN}/data/{dataset}/train.parquet" for dataset in TRAINING],
    output:
        f"{RUN}/queries.parquet",
    log:
        f"{RUN}/logs/training_queries.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        code=syntax("sample"),
        flags=flags(
            limit=config["candidates"]["queries_per_dataset"], seed=config["seed"]
        ),
    shell:
        "python -m ruie.sample --input {input.data} {params.flags} --out {output} > {log} 2>&1"


rule test_queries:
    input:
        data=f"{RUN}/data/{{dataset}}/test.parquet",
    output:
        f"{RUN}/test/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/test_queries/{{dataset}}.log",
    priority: 100
    group:
        "data"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=syntax("sample"),
        flags=flags(
            limit=config["evaluation"]["queries_per_dataset"], seed=config["seed"]
        ),
    shell:
        "python -m ruie.sample --input {input.data} {params.flags} --out {output} > {log} 2>&1"
