# Counts and result tables (section 4.2).
include: "helpers/results.smk"


rule evaluate:
    input:
        predictions=f"{RUN}/predictions/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
        code=code("evaluate", "records", "answers", "scorers", "official", "bootstrap"),
    output:
        metrics=f"{RUN}/metrics/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
        counts=f"{RUN}/counts/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
        labels=f"{RUN}/labels/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/evaluate/{{system}}/{{llm}}/k{{k}}/{{dataset}}.log",
    group:
        "infer"
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        flags=flags(
            scorer=config["evaluation"]["scorers"],
            mentions=config["evaluation"]["mentions"],
            allow_errors=config["evaluation"]["allow_errors"],
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.evaluate --predictions {input.predictions} {params.flags}"
        " --out {output.metrics} --counts {output.counts} --labels {output.labels} > {log} 2>&1"


rule table:
    input:
        metrics=lambda w: [
            f"{RUN}/metrics/{run}.parquet" for run in runs(SIDES[w.side])
        ],
        counts=lambda w: [f"{RUN}/counts/{run}.parquet" for run in runs(SIDES[w.side])],
        code=code("tables", "bootstrap"),
    output:
        report(
            f"{RUN}/tables/{{side}}.parquet",
            category="Result tables",
            labels={"datasets": "{side}"},
            caption="../report/table.rst",
        ),
    log:
        f"{RUN}/logs/table/{{side}}.log",
    wildcard_constraints:
        side="|".join(SIDES),
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        # by functions: their braces are for bash, no wildcards
        metrics=lambda w: run_paths("metrics", [SIDES[w.side]]),
        counts=lambda w: run_paths("counts", [SIDES[w.side]]),
        flags=lambda w: flags(
            held_out=SIDES[w.side],
            systems=[ZERO_SHOT, *config["evaluation"]["systems"]],
            ranges=ranges(),
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.tables --metrics {params.metrics} --counts {params.counts} {params.flags}"
        " --out {output} > {log} 2>&1"


# What all answers took: requests, tokens, errors, cost.
rule usage:
    input:
        predictions=of_runs("predictions"),
        code=code("usage"),
    output:
        f"{RUN}/tables/usage.parquet",
    log:
        f"{RUN}/logs/usage.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        predictions=lambda w: run_paths("predictions"),
        flags=flags(prices=PRICES or None),
    shell:
        "python -m ruie.usage --predictions {params.predictions} {params.flags} --out {output}"
        " > {log} 2>&1"


rule comparisons:
    input:
        counts=lambda w: [
            f"{RUN}/counts/{run}.parquet" for run in runs(SIDES[w.side], sft=False)
        ],
        code=code("compare", "tables", "bootstrap"),
    output:
        f"{RUN}/tables/{{side}}_comparisons.parquet",
    log:
        f"{RUN}/logs/comparisons/{{side}}.log",
    wildcard_constraints:
        side="|".join(SIDES),
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        counts=lambda w: run_paths("counts", [SIDES[w.side]], sft=False),
        flags=lambda w: flags(
            held_out=SIDES[w.side],
            reference=REFERENCE,
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.compare --counts {params.counts} {params.flags} --out {output}"
        " > {log} 2>&1"


# What is wrong in the answers; for the report, and as a page of its own: `snakemake error_page`.
rule errors:
    input:
        predictions=lambda w: [
            f"{RUN}/predictions/{w.system}/{w.llm}/k{w.k}/{dataset}.parquet"
            for held in EVALUATED
            for dataset in EVALUATED[held]
            if w.system not in SFT or dataset in sft_datasets(w.system)
        ],
        pool=f"{RUN}/pool.parquet",
        code=code("errors", "error_kinds", "records", "scorers", "answers"),
    output:
        f"{RUN}/errors/{{system}}/{{llm}}/k{{k}}.parquet",
    log:
        f"{RUN}/logs/errors/{{system}}/{{llm}}/k{{k}}.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        flags=flags(seed=config["seed"]),
    shell:
        "python -m ruie.errors --predictions {input.predictions} --pool {input.pool}"
        " {params.flags} --out {output} > {log} 2>&1"


rule error_page:
    input:
        tables=error_tables(),
        code=code("error_page", "error_kinds", "markdown"),
    output:
        f"{RUN}/errors.md",
    log:
        f"{RUN}/logs/error_page.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    shell:
        "python -m ruie.errors --tables {input.tables} --markdown {output} > {log} 2>&1"
