# The report of a run, and what it alone needs.
include: "helpers/report.smk"


rule config_of_run:
    output:
        f"{RUN}/config.json",
    log:
        f"{RUN}/logs/config_of_run.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        text=shlex.quote(CONFIG_TEXT),
    shell:
        "printf '%s\\n' {params.text} > {output} 2> {log}"


# What differs between machines is in a file of its own, so that the report does not.
rule provenance:
    input:
        models=list(models_of_run().values()),
        config=f"{RUN}/config.json",
        code=code("provenance"),
    output:
        f"{RUN}/provenance.json",
    log:
        f"{RUN}/logs/provenance.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        flags=flags(
            models=[f"{name}={path}" for name, path in models_of_run().items()] or None
        ),
    shell:
        "python -m ruie.provenance {params.flags} --out {output} > {log} 2>&1"


rule explain:
    input:
        predictions=of_runs("predictions"),
        queries=[
            f"{RUN}/test/{n}.parquet" for held in EVALUATED for n in EVALUATED[held]
        ],
        pool=f"{RUN}/pool.parquet",
        code=code("explain", "shown"),
    output:
        candidates=f"{RUN}/explain/candidates.parquet",
        queries=f"{RUN}/explain/queries.parquet",
        pool=f"{RUN}/explain/pool.parquet",
    log:
        f"{RUN}/logs/explain.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        predictions=lambda w: run_paths("predictions"),
        queries=lambda w: f"{RUN}/test/{answered()}.parquet",
        flags=flags(samples=config["report"]["samples"], seed=config["seed"]),
    shell:
        "python -m ruie.explain --predictions {params.predictions} --queries {params.queries}"
        " --pool {input.pool} {params.flags} --out {output.candidates}"
        " --out-queries {output.queries} --out-pool {output.pool} > {log} 2>&1"


rule explain_scores:
    input:
        candidates=f"{RUN}/explain/candidates.parquet",
        queries=f"{RUN}/explain/queries.parquet",
        pool=f"{RUN}/explain/pool.parquet",
        model=model(config["scoring"]["llm"]),
    output:
        scores=f"{RUN}/explain/scores.parquet",
        plan=temp(f"{RUN}/explain/plan.parquet"),
    log:
        f"{RUN}/logs/explain_scores.log",
    conda:
        "../../envs/train.yaml"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(32000),
        runtime=growing(240),
        gpu=1,
        batch_tokens=config["scoring"]["batch_tokens"],
        cache_mb=config["scoring"]["cache_mb"],
    params:
        plan=plan_flags(config["scoring"]["llm"]),
        flags=score_flags(config["scoring"]["llm"]),
        store=config["scoring"]["store"],
    shell:
        "(python -m ruie.plan --candidates {input.candidates} --queries {input.queries}"
        " --pool {input.pool} --model {input.model:q} {params.plan}"
        " --batch-tokens {resources.batch_tokens} --out {output.plan} &&"
        " python -m ruie.score --plan {output.plan} --queries {input.queries} --pool {input.pool}"
        " --model {input.model:q} --store {params.store:q} {params.flags}"
        " --batch-tokens {resources.batch_tokens} --cache-mb {resources.cache_mb}"
        " --out {output.scores}) > {log} 2>&1"


rule explain_rewards:
    input:
        scores=f"{RUN}/explain/scores.parquet",
        queries=f"{RUN}/explain/queries.parquet",
        pool=f"{RUN}/explain/pool.parquet",
        model=f"{RUN}/reward/{explaining_variant() or 'keywords'}/model",
    output:
        f"{RUN}/explain/rewards.parquet",
    log:
        f"{RUN}/logs/explain_rewards.log",
    conda:
        "../../envs/train.yaml"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
        gpu=1,
    params:
        flags=rewarding(explaining_variant() or ""),
    shell:
        "python -m ruie.score_reward --scores {input.scores} --queries {input.queries}"
        " --pool {input.pool} --model {input.model} {params.flags} --out {output} > {log} 2>&1"


rule report:
    input:
        **{name: files for name, (files, _) in REPORTED.items() if files},
        **EXPLAINED,
        tables=tables(),
        data=normalised("{split}.report.parquet"),
        training=[f"{RUN}/{name}/training.parquet" for name in trainings()],
        pace=[f"{RUN}/{name}/pace.parquet" for name in trainings()],
        predictions=of_runs("predictions"),
        pool=f"{RUN}/pool.parquet",
        why=[path for _, path in retrieved()],
        config=f"{RUN}/config.json",
        provenance=f"{RUN}/provenance.json",
        code=code(
            "report",
            "sections",
            "details",
            "error_kinds",
            "headline",
            "learned",
            "chained",
            "charts",
            "browse",
            "shown",
            "marks",
            "page",
            "style",
            "provenance",
            "answers",
            "scorers",
            "tables",
            "usage",
        ),
    output:
        html=report(
            f"{RUN}/report.html", category="Report", caption="../report/report.rst"
        ),
        plots=report(
            directory(f"{RUN}/plots"),
            patterns=["{name}.png"],
            category="Plots",
            labels={"plot": "{name}"},
            caption="../report/plots.rst",
        ),
    log:
        f"{RUN}/logs/report.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        flags=flags(
            title=f"RUIE: {config['run']}",
            scorers=config["evaluation"]["scorers"],
            samples=config["report"]["samples"],
            seed=config["seed"],
            bm25=next(
                (s for s in config["evaluation"]["systems"] if is_bm25(s)), None
            ),
        ),
        # a training is called by its place in the run: reward/keywords, retriever/ruie
        named=flags(
            training=[f"{name}={RUN}/{name}/training.parquet" for name in trainings()]
            or None,
            pace=[f"{name}={RUN}/{name}/pace.parquet" for name in trainings()] or None,
        ),
        # by functions: their braces are for bash, no wildcards
        predictions=lambda w: run_paths("predictions"),
        why=lambda w: retrieved_paths(),
        reported=lambda w: " ".join(
            f"--{name} {paths()}" for name, (files, paths) in REPORTED.items() if files
        ),
        explained=flags(**EXPLAINED),
    shell:
        "python -m ruie.report --tables {input.tables} --data {input.data} {params.named}"
        " {params.reported} {params.explained} --predictions {params.predictions} --why {params.why}"
        " --pool {input.pool}"
        " --config {input.config} --provenance {input.provenance} {params.flags}"
        " --out {output.html} --plots {output.plots} > {log} 2>&1"
