# The paper's tables and figures with our numbers beside them, from whatever results there are.
# Targets by name: table1 ... table8, table10, table11, figure3, figure4; `paper` makes all of them.
PAPER = f"{RUN}/paper"
PAPER_NUMBERS = str(Path(workflow.basedir, "workflow/paper/tables.yaml"))
PAPER_CODE = code("paper", "paper_data", "paper_render", "tables", "markdown")
RENAMED = [f"{ours}={paper}" for ours, paper in config["paper"]["rename"].items()]
# an endpoint's times say nothing about a model: the first of the others is timed, if there is one
TIMED_LLM = next(
    (llm for llm in config["evaluation"]["llms"] if not is_endpoint(llm)),
    config["evaluation"]["llms"][0],
)
TIMED = [
    n
    for n in config["speed"]["datasets"]
    if n in EVALUATED[True] + EVALUATED[False] and not is_endpoint(TIMED_LLM)
]
_retrieving = sorted(n for n in SYSTEMS if SYSTEMS[n]["retriever"] != "none")
if config["speed"]["system"] not in _retrieving:
    raise WorkflowError(
        f"speed.system: {config['speed']['system']!r} is not defined, or retrieves nothing; "
        f"use one of {_retrieving}"
    )
if max(config["speed"]["k"]) > config["evaluation"]["depth"]:
    raise WorkflowError(
        f"speed.k: {config['speed']['k']} is above evaluation.depth, "
        f"{config['evaluation']['depth']} demonstrations retrieved; raise depth"
    )


def rendered(name, *more):
    """The files of a table or figure of the paper."""
    return [f"{PAPER}/{name}.{end}" for end in ("parquet", "md", "tex", *more)]


def further_run(folder):
    """Result tables and config of a further run, and its scores if it has any, by their LLM."""
    config_file = folder / "config.json"
    results = [folder / f"tables/{side}.parquet" for side in SIDES]
    results = [path for path in results if path.is_file()]
    try:
        llm = json.loads(config_file.read_text())["scoring"]["llm"]
    except (OSError, ValueError, TypeError, KeyError):
        llm = None
    if llm is None or not results:
        raise WorkflowError(
            f"paper.runs: {folder} holds no config.json or no result tables; name the folder of a "
            "finished run"
        )
    scores = folder / f"scores/{llm}.parquet"
    return [config_file, *results], {llm: str(scores)} if scores.is_file() else {}


FURTHER_RESULTS, SCORES_BY_LLM = [], {}
for _folder in config["paper"]["runs"]:
    _files, _scores = further_run(Path(_folder))
    FURTHER_RESULTS += map(str, _files)
    SCORES_BY_LLM = {**_scores, **SCORES_BY_LLM}
SCORES_BY_LLM = {**SCORES_BY_LLM, config["scoring"]["llm"]: SCORES}


def results_flags(**own):
    """Flags of what a table of results is made from, beside this run's tables."""
    return flags(
        scoring=config["scoring"]["llm"],
        runs=config["paper"]["runs"],
        rename=RENAMED,
        llm=config["paper"]["llm"],
        **own,
    )


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
        " --pool {input.pool} --model {input.model} {params.flags} --out {output} > {log} 2>&1"


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
