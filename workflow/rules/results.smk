# Counts and result tables (section 4.2).


def tables():
    """The result tables that the registry has datasets for."""
    return [
        f"{RUN}/tables/{side}.parquet"
        for side, held in SIDES.items()
        if EVALUATED[held]
    ]


def reference():
    """The system that the others are compared with: the one that the config names, else the first
    trained one, else the first; None where there is nothing to compare."""
    c = config["evaluation"]
    chosen = c["reference"]
    if chosen is not None and chosen not in RETRIEVING:
        raise WorkflowError(
            f"evaluation.reference: {chosen!r} is none of evaluation.systems that retrieve, "
            f"{RETRIEVING}"
        )
    if not c["k"] or len(RETRIEVING) + c["zero_shot"] < 2:
        return None
    trained = [name for name in RETRIEVING if is_trained(name)]
    return next(iter([chosen] * (chosen is not None) + trained + RETRIEVING), None)


REFERENCE = reference()


def comparisons():
    """The comparisons with the reference, beside the result tables."""
    return [
        f"{RUN}/tables/{side}_comparisons.parquet"
        for side, held in SIDES.items()
        if EVALUATED[held] and REFERENCE is not None
    ]


def runs(held_out, sft=True):
    """system/llm/k/dataset of every run on one side of the registry; without ``sft`` those of one
    LLM with different demonstrations, which can be compared."""
    c = config["evaluation"]
    for llm in c["llms"]:
        for dataset in EVALUATED[held_out]:
            if c["zero_shot"]:
                yield f"{ZERO_SHOT}/{llm}/k0/{dataset}"
            for k in c["k"]:
                for system in RETRIEVING:
                    yield f"{system}/{llm}/k{k}/{dataset}"
    for system in SFT if sft else []:
        for dataset in sft_datasets(system):
            if dataset in EVALUATED[held_out]:
                yield f"{system}/{SYSTEMS[system]['llm']}/k0/{dataset}"


def error_tables():
    """What is wrong in the answers of each system, LLM and k."""
    c = config["evaluation"]
    shots = [(ZERO_SHOT, 0)] * c["zero_shot"]
    shots += [(system, k) for k in c["k"] for system in RETRIEVING]
    return [
        f"{RUN}/errors/{system}/{llm}/k{k}.parquet"
        for llm in c["llms"]
        for system, k in shots
    ] + [f"{RUN}/errors/{name}/{SYSTEMS[name]['llm']}/k0.parquet" for name in SFT]


def of_runs(folder):
    """A file of each run."""
    return [
        f"{RUN}/{folder}/{run}.parquet" for held in (True, False) for run in runs(held)
    ]


def braces(names):
    """Names for bash to expand: a command of some thousand paths is longer than it may be, one
    with their pattern is not. Names are of letters, digits and ``._-`` only (the schemas).
    """
    names = [str(name) for name in names]
    return names[0] if len(names) == 1 else "{" + ",".join(names) + "}"


def answered(sides=EVALUATED):
    """Datasets with predictions, for bash."""
    return braces([n for held in sides for n in EVALUATED[held]])


def run_paths(folder, sides=EVALUATED, sft=True):
    """The files of ``runs`` below a folder, for bash."""
    c = config["evaluation"]
    found = []
    if c["zero_shot"]:
        found.append(f"{ZERO_SHOT}/{braces(c['llms'])}/k0/{answered(sides)}")
    if RETRIEVING and c["k"]:
        systems = f"{braces(RETRIEVING)}/{braces(c['llms'])}/k{braces(c['k'])}"
        found.append(f"{systems}/{answered(sides)}")
    for system in SFT if sft else []:
        mine = [
            n for held in sides for n in EVALUATED[held] if n in sft_datasets(system)
        ]
        if mine:
            found.append(f"{system}/{SYSTEMS[system]['llm']}/k0/{braces(mine)}")
    return " ".join(f"{RUN}/{folder}/{paths}.parquet" for paths in found)


def ranges():
    """system=label of where each system looks for demonstrations (RESULTS.range)."""
    labels = {"mixed": "mixed", "task": "same-task", "dataset": "same-dataset"}
    found = []
    for name in RETRIEVING:
        # a ranking of the chain is of BM25's candidates
        where = SYSTEMS[name].get("range", config["candidates"]["range"])
        own_first = SYSTEMS[name].get("own_dataset_first", False)
        label = "official" if own_first and where == "mixed" else labels[where]
        found.append(f"{name}={label}")
    return found


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
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    shell:
        "python -m ruie.errors --tables {input.tables} --markdown {output} > {log} 2>&1"
