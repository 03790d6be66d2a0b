# Counts, result tables and the report (section 4.2).


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
    resources:
        mem_mb=2000,
        runtime=30,
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
        f"{RUN}/tables/{{side}}.parquet",
    log:
        f"{RUN}/logs/table/{{side}}.log",
    wildcard_constraints:
        side="|".join(SIDES),
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        flags=lambda w: flags(
            held_out=SIDES[w.side],
            systems=[ZERO_SHOT, *config["evaluation"]["systems"]],
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.tables --metrics {input.metrics} --counts {input.counts} {params.flags}"
        " --out {output} > {log} 2>&1"


rule comparisons:
    input:
        counts=lambda w: [f"{RUN}/counts/{run}.parquet" for run in runs(SIDES[w.side])],
        code=code("compare", "tables", "bootstrap"),
    output:
        f"{RUN}/tables/{{side}}_comparisons.parquet",
    log:
        f"{RUN}/logs/comparisons/{{side}}.log",
    wildcard_constraints:
        side="|".join(SIDES),
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        flags=flags(
            reference=REFERENCE,
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.compare --counts {input.counts} {params.flags} --out {output}"
        " > {log} 2>&1"


# Targets on demand: `snakemake error_page` says what is wrong in the answers of the whole run.
rule errors:
    input:
        predictions=f"{RUN}/predictions/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
        pool=f"{RUN}/pool.parquet",
        code=code("errors", "error_kinds", "records", "scorers", "answers"),
    output:
        f"{RUN}/errors/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/errors/{{system}}/{{llm}}/k{{k}}/{{dataset}}.log",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        flags=flags(seed=config["seed"]),
    shell:
        "python -m ruie.errors --predictions {input.predictions} --pool {input.pool}"
        " {params.flags} --out {output} > {log} 2>&1"


rule error_page:
    input:
        tables=[
            f"{RUN}/errors/{run}.parquet" for held in EVALUATED for run in runs(held)
        ],
        code=code("error_page", "error_kinds", "markdown"),
    output:
        f"{RUN}/errors.md",
    log:
        f"{RUN}/logs/error_page.log",
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python -m ruie.errors --tables {input.tables} --markdown {output} > {log} 2>&1"


rule config_of_run:
    output:
        f"{RUN}/config.json",
    log:
        f"{RUN}/logs/config_of_run.log",
    localrule: True
    params:
        text=shlex.quote(json.dumps(config, indent=1, sort_keys=True)),
    shell:
        "printf '%s\\n' {params.text} > {output} 2> {log}"


rule report:
    input:
        tables=tables(),
        data=normalised("{split}.report.parquet"),
        training=[
            f"{RUN}/{kind}/training.parquet"
            for kind in dict.fromkeys(
                f"reward/{variant(s)}"
                for s in config["evaluation"]["systems"]
                if is_trained(s) and has_teacher(s)
            )
        ]
        + [
            f"{RUN}/retriever/{s}/training.parquet"
            for s in config["evaluation"]["systems"]
            if is_trained(s)
        ],
        predictions=predictions(),
        config=f"{RUN}/config.json",
        code=code(
            "report",
            "headline",
            "charts",
            "browse",
            "page",
            "answers",
            "scorers",
            "tables",
        ),
    output:
        html=report(
            f"{RUN}/report.html", category="results", caption="../report/report.rst"
        ),
        plots=directory(f"{RUN}/plots"),
    log:
        f"{RUN}/logs/report.log",
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        title=flags(title=f"RUIE: {config['run']}"),
        # a training is called by its place in the run: reward/keywords, retriever/ruie
        training=lambda w, input: flags(
            training=[
                f"{Path(path).parent.relative_to(RUN)}={path}"
                for path in input.training
            ]
            or None
        ),
    shell:
        "python -m ruie.report --tables {input.tables} --data {input.data} {params.training}"
        " --predictions {input.predictions} --config {input.config} {params.title}"
        " --out {output.html} --plots {output.plots} > {log} 2>&1"
