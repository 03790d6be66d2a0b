# What the data is worth before any model sees it: Table 11, leakage, every record accounted for.
# Targets by name: `snakemake statistics`, `snakemake validation`.
rule statistics:
    input:
        data=normalised("{split}.parquet"),
        registry=config["datasets"]["registry"],
        code=code("statistics", "registry", "markdown"),
    output:
        table=f"{RUN}/statistics.parquet",
        markdown=f"{RUN}/statistics.md",
    log:
        f"{RUN}/logs/statistics.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    shell:
        "python -m ruie.statistics --data {input.data} --registry {input.registry:q}"
        " --out {output.table} --markdown {output.markdown} > {log} 2>&1"


rule overlap:
    input:
        trained=[f"{RUN}/data/{dataset}/train.parquet" for dataset in TRAINING],
        # in the pool, and never trained on: held-out training sets
        demonstrations=[
            f"{RUN}/data/{dataset}/train.parquet"
            for dataset in POOL
            if dataset not in TRAINING
        ],
        held_in=[f"{RUN}/data/{dataset}/test.parquet" for dataset in EVALUATED[False]],
        held_out=[f"{RUN}/data/{dataset}/test.parquet" for dataset in EVALUATED[True]],
        code=code("overlap", "examples", "markdown"),
    output:
        f"{RUN}/overlap.parquet",
    log:
        f"{RUN}/logs/overlap.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(120),
    shell:
        "python -m ruie.overlap --trained {input.trained} --demonstrations {input.demonstrations}"
        " --held-in {input.held_in} --held-out {input.held_out} --out {output} > {log} 2>&1"


rule validation:
    input:
        reports=normalised("{split}.report.parquet"),
        statistics=f"{RUN}/statistics.parquet",
        overlap=f"{RUN}/overlap.parquet",
        code=code("validation", "statistics", "overlap", "markdown"),
    output:
        table=f"{RUN}/validation.parquet",
        markdown=report(
            f"{RUN}/validation.md", category="Data", caption="../report/validation.rst"
        ),
    log:
        f"{RUN}/logs/validation.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    shell:
        "python -m ruie.validation --reports {input.reports} --statistics {input.statistics}"
        " --overlap {input.overlap} --out {output.table} --markdown {output.markdown} > {log} 2>&1"
