# Small helpers of the rules: names, places, flags, what a job waits for.
import os

from ruie import endpoint, stages


def normalised(name):
    """A file of each split that the run reads: training sets of the pool, test sets in question."""
    return [
        f"{RUN}/data/{dataset}/{name.format(split=split)}"
        for dataset in DATASETS
        for split in ["train"] * (dataset in POOL)
        + ["test"] * (dataset in EVALUATED[True] + EVALUATED[False])
    ]


def is_trained(system):
    return SYSTEMS[system]["retriever"] == "trained"


def made_as(system):
    """The system whose training and vectors one takes: of those that differ in where they look for
    demonstrations, how they choose among them and how they are answered alone, the one with the
    shortest name, of which the others' are variants; the order of systems is that of the files they
    came from.
    """

    def made(name):
        searching = {
            "range",
            "own_dataset_first",
            "bm25_first",
            "bm25_weight",
            "choose",
            "constrained",
        }
        return {k: v for k, v in SYSTEMS[name].items() if k not in searching}

    same = [name for name in SYSTEMS if made(name) == made(system)]
    return min(same, key=lambda name: (len(name), name))


def round_of(system):
    """Place in the run of the candidates, scores and reward models that teach a trained system:
    none of its own, or below the system that finds its candidates."""
    source = SYSTEMS[system].get("candidates")
    return "" if source is None else f"rounds/{made_as(source)}/"


def check_rounds(system):
    """Stops at candidates of what is not trained, or of what waits for this system itself."""
    seen, at = [system], system
    while (at := SYSTEMS[at].get("candidates")) is not None:
        place = f"systems.{seen[-1]}.candidates"
        if at not in SYSTEMS or not is_trained(at):
            known = sorted(filter(is_trained, SYSTEMS))
            raise WorkflowError(
                f"{place}: {at!r} is no trained system; use one of {known}"
            )
        if at in seen:
            raise WorkflowError(
                f"{place}: goes round in a circle, {' <- '.join([*seen, at])}; the first round has "
                "no `candidates`"
            )
        seen.append(at)


for _name in filter(is_trained, SYSTEMS):
    check_rounds(_name)
ROUNDS = list(
    dict.fromkeys(
        round_of(name) for name in filter(is_trained, SYSTEMS) if round_of(name)
    )
)


def flags(**options):
    """Command-line flags of a stage, in one string: Snakemake compares a rule's params as a set of
    values, so two flags that swapped their values would go unnoticed as params of their own.
    """
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return shlex.join(words)


def growing(amount):
    """Memory or time of a job that asks for as much again at each attempt."""
    return lambda wildcards, attempt: amount * attempt


def as_json(value):
    """A value for a flag that takes JSON; None for none."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def code(*modules):
    """Modules of a cheap stage as its inputs: when one changes, the stage runs again."""
    return [own_file("ruie", f"{module}.py") for module in modules]


def own_file(*parts):
    """A file of this repository; relative where the run is started in it, so that a run that is
    moved or mounted elsewhere with it stays up to date."""
    path = Path(workflow.basedir, *parts)
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def syntax(*modules):
    """Modules of a cheap stage that long work follows, as its parameter: the stage runs again when
    what they say changes, and not for a comment."""
    return lambda wildcards: stages.digest(Path(workflow.basedir, "ruie"), modules)


def reader_syntax(wildcards):
    """The same of normalising: with the reader of the dataset's format and no other."""
    ruie = Path(workflow.basedir, "ruie")
    form = f"readers/{FORMATS[DATASETS[wildcards.dataset]['format']]}"
    read = stages.imported(ruie, form) | stages.imported(ruie, "readers/build")
    return stages.digest(ruie, {"normalize", "examples", *read})


def shards(folder):
    """Jobs that the scoring of a ``folder`` is cut into: as many as there were, where it is done, for
    their number changes no score; else the config's."""
    done = {}
    for path in Path(folder).glob("*-of-*.parquet"):
        if named := re.fullmatch(r"(\d+)-of-(\d+)", path.stem):
            done.setdefault(int(named[2]), []).append(path)
    whole = {n: paths for n, paths in done.items() if len(paths) == n}
    if not whole:
        return config["scoring"]["shards"]
    return max(whole, key=lambda n: max(path.stat().st_mtime for path in whole[n]))


def shard_files(folder):
    """The SCORES tables of all its shards."""
    n = shards(folder)
    return [f"{folder}/{shard}-of-{n}.parquet" for shard in range(n)]


SCORES_OF = f"{RUN}/{{round}}scores/{config['scoring']['llm']}.parquet"
SCORES = SCORES_OF.format(round="")
ZERO_SHOT = "zero_shot"
SIDES = {"heldout": True, "heldin": False}


# Models
# what a million tokens cost: of prompts, of answers, of prompts that the server had in its cache
PRICED = ("prompt", "completion", "cached")


def model(name):
    """The folder of a model: the user's own path, or what the rule `model` makes."""
    if is_endpoint(name):
        raise WorkflowError(
            f"models.{name}: is an endpoint; a model of your own is needed here"
        )
    path = MODELS[name].get("path")
    if path is None:
        return f"models/{name}"
    if not Path(path, "config.json").is_file():
        raise WorkflowError(
            f"models.{name}.path: {path} holds no model (no config.json); mend it"
        )
    return path


def dtype(name):
    return MODELS[name].get("dtype", "bfloat16")


def constrained(system):
    """Whether a system's answers are of labels and spans alone (docs/constrained.md)."""
    usual = config["inference"]["constrained"]
    return SYSTEMS.get(system, {}).get("constrained", usual)


# a missing model must show itself before the plan, not in the middle of it
for _name in {
    config["scoring"]["llm"],
    config["reward"]["model"],
    config["retriever"]["model"],
    *filter(lambda name: not is_endpoint(name), config["evaluation"]["llms"]),
    *(SYSTEMS[n]["llm"] for n in SFT),
}:
    model(_name)
for _name in filter(is_endpoint, config["evaluation"]["llms"]):
    if any(map(constrained, [ZERO_SHOT, *RETRIEVING])):
        raise WorkflowError(
            f"inference.constrained: {_name!r} of evaluation.llms is an endpoint, whose answers "
            "cannot be constrained from here; set it to false, in systems too, or leave that model "
            "out"
        )
    _tokenizer = MODELS[_name].get("tokenizer")
    if _tokenizer in MODELS:
        in_one_line(f"models.{_name}.tokenizer: ", model, _tokenizer)
    elif _tokenizer is not None and "/" not in _tokenizer:
        raise WorkflowError(
            f"models.{_name}.tokenizer: {_tokenizer!r} is neither one of the models nor a hub id; "
            "mend it"
        )
    _place = endpoint.Endpoint(MODELS[_name]["endpoint"], MODELS[_name].get("key"))
    in_one_line(f"models.{_name}: ", endpoint.check, _place)


def one_of(names):
    """A wildcard that takes these names and no other."""
    return "|".join(map(re.escape, names))


# Of a target that no rule makes Snakemake does not say why
for _word in sys.argv[1:]:
    _asked = re.fullmatch(
        rf"{re.escape(RUN)}/\w+/([^/]+)/([^/]+)/k\d+/([^/]+)\.parquet", _word
    )
    for _what, _name, _known in zip(
        ("system", "LLM", "dataset"),
        _asked.groups() if _asked else (),
        ([*SYSTEMS, ZERO_SHOT], MODELS, DATASETS),
    ):
        if _name not in _known:
            raise WorkflowError(
                f"{_word}: no {_what} {_name!r} in this configuration; it has {sorted(_known)}"
            )


wildcard_constraints:
    size=r"q\d+-c\d+",
    dataset=one_of(DATASETS),
    system=one_of([*SYSTEMS, ZERO_SHOT]),
    llm=one_of(MODELS),
    k=r"\d+",
    shard=r"\d+",
    shards=r"\d+",
    split="train|dev|test",
    variant=r"(?:keywords|plain)(?:-seed\d+)?",
    part="pool|training_pool",
    range="mixed|task|dataset",
    first=r"\d+",
    # the first round has no folder of its own
    round=f"(?:{one_of(ROUNDS)})?",
