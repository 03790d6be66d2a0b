# The paper's tables and figures with our numbers beside them, from whatever results there are.
# Targets by name: table1 ... table8, table10, table11, figure3, figure4; `paper` makes all of them.
include: "helpers/paper.smk"


rule paper_table:
    input:
        tables=tables(),
        further=FURTHER_RESULTS,
        data=PAPER_NUMBERS,
        code=PAPER_CODE,
    output:
        table=f"{PAPER}/table{{number}}.parquet",
        markdown=f"{PAPER}/table{{number}}.md",
        latex=f"{PAPER}/table{{number}}.tex",
    log:
        f"{RUN}/logs/paper_table/{{number}}.log",
    wildcard_constraints:
        number="[1-8]",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        flags=results_flags(k=config["paper"]["k"]),
    shell:
        "python -m ruie.paper --table {wildcards.number} --results {input.tables} {params.flags}"
        " --out {output.table} --markdown {output.markdown} --latex {output.latex} > {log} 2>&1"


rule spread:
    input:
        scores=list(SCORES_BY_LLM.values()),
        code=code("spread"),
    output:
        f"{PAPER}/spread.parquet",
    log:
        f"{RUN}/logs/spread.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(16000),
        runtime=growing(60),
    params:
        scores=flags(scores=[f"{llm}={path}" for llm, path in SCORES_BY_LLM.items()]),
    shell:
        "python -m ruie.spread {params.scores} --out {output} > {log} 2>&1"


rule table10:
    input:
        spread=rules.spread.output,
        data=PAPER_NUMBERS,
        code=PAPER_CODE,
    output:
        table=f"{PAPER}/table10.parquet",
        markdown=f"{PAPER}/table10.md",
        latex=f"{PAPER}/table10.tex",
    log:
        f"{RUN}/logs/table10.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        flags=flags(rename=RENAMED),
    shell:
        "python -m ruie.paper --table 10 --spread {input.spread} {params.flags}"
        " --out {output.table} --markdown {output.markdown} --latex {output.latex} > {log} 2>&1"


rule table11:
    input:
        statistics=rules.statistics.output.table,
        data=PAPER_NUMBERS,
        code=PAPER_CODE,
    output:
        table=f"{PAPER}/table11.parquet",
        markdown=f"{PAPER}/table11.md",
        latex=f"{PAPER}/table11.tex",
    log:
        f"{RUN}/logs/table11.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    shell:
        "python -m ruie.paper --table 11 --statistics {input.statistics}"
        " --out {output.table} --markdown {output.markdown} --latex {output.latex} > {log} 2>&1"


rule figure3:
    input:
        tables=tables(),
        further=FURTHER_RESULTS,
        data=PAPER_NUMBERS,
        code=PAPER_CODE + code("figures", "charts"),
    output:
        table=f"{PAPER}/figure3.parquet",
        markdown=f"{PAPER}/figure3.md",
        latex=f"{PAPER}/figure3.tex",
        plots=[f"{PAPER}/figure3.svg", f"{PAPER}/figure3.png"],
    log:
        f"{RUN}/logs/figure3.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        flags=results_flags(plots=PAPER),
    shell:
        "python -m ruie.figures --figure 3 --results {input.tables} {params.flags}"
        " --out {output.table} --markdown {output.markdown} --latex {output.latex} > {log} 2>&1"


# Times differ from run to run: nothing but Figure 4 is made from them.
rule speed:
    input:
        queries=[f"{RUN}/test/{dataset}.parquet" for dataset in TIMED],
        demonstrations=[
            f"{RUN}/demonstrations/{config['speed']['system']}/{dataset}.parquet"
            for dataset in TIMED
        ],
        pool=f"{RUN}/pool.parquet",
        model=lambda w: model(TIMED_LLM),
    output:
        f"{PAPER}/speed/{{backend}}.parquet",
    log:
        f"{RUN}/logs/speed/{{backend}}.log",
    wildcard_constraints:
        backend="vllm|transformers",
    conda:
        "../../envs/infer.yaml"
    # all that there are, so that nothing else runs beside it
    threads: workflow.cores or 16
    resources:
        mem_mb=growing(16000),
        runtime=growing(240),
        gpu=1,
    params:
        flags=lambda w: flags(
            version="speed-1",
            backend=w.backend,
            sample=config["speed"]["queries"],
            k=config["speed"]["k"],
            quotes=config["prompt"]["quotes"],
            llm=TIMED_LLM,
            dtype=dtype(TIMED_LLM),
            chat=MODELS[TIMED_LLM].get("chat", False),
            seed=config["seed"],
            **{
                name: config["inference"][name]
                for name in ("max_input", "max_new", "stop", "constrained")
            },
        ),
    shell:
        "python -m ruie.speed --queries {input.queries} --demonstrations {input.demonstrations}"
        " --pool {input.pool} --model {input.model:q} {params.flags} --out {output} > {log} 2>&1"


rule figure4:
    input:
        speed=expand(
            rules.speed.output, backend=config["speed"]["backends"] if TIMED else []
        ),
        data=PAPER_NUMBERS,
        code=PAPER_CODE + code("figures", "charts"),
    output:
        table=f"{PAPER}/figure4.parquet",
        markdown=f"{PAPER}/figure4.md",
        latex=f"{PAPER}/figure4.tex",
        plots=[f"{PAPER}/figure4.svg", f"{PAPER}/figure4.png"],
    log:
        f"{RUN}/logs/figure4.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        plots=flags(plots=PAPER),
    shell:
        "python -m ruie.figures --figure 4 --speed {input.speed} {params.plots}"
        " --out {output.table} --markdown {output.markdown} --latex {output.latex} > {log} 2>&1"


for _number in range(1, 9):

    rule:
        name:
            f"table{_number}"
        input:
            rendered(f"table{_number}"),


rule paper:
    input:
        [path for number in (*range(1, 9), 11) for path in rendered(f"table{number}")],
        # scoring alone takes longer than all else, and only what is trained needs it
        (
            rendered("table10")
            if any(map(is_trained, config["evaluation"]["systems"]))
            else []
        ),
        rendered("figure3", "svg", "png"),
        rendered("figure4", "svg", "png") if TIMED else [],
