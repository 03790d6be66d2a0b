# Functions and settings of the rules in ../paper.smk.

PAPER = f"{RUN}/paper"
PAPER_NUMBERS = own_file("workflow/paper/tables.yaml")
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
