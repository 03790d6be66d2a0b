# Reads and checks the configuration and the dataset registry, before any rule.
import glob
import json
import re
import shlex
import sys
from hashlib import sha256
from importlib import import_module
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from ruie import devices, examples, registry, stamp
from ruie.cli import UserError
from ruie.readers import FORMATS, Source
from ruie.readers.build import SPLIT_NAMES, split_files
from ruie.readers.build import check as check_source
from ruie.sft import formats


def in_one_line(where, call, *given):
    """What a call returns; a fault that the user can mend is shown as Snakemake's own are."""
    try:
        return call(*given)
    except UserError as error:
        raise WorkflowError(f"{where}{error}") from None


# GPU jobs side by side on one machine: one a card. `--resources gpu=` says otherwise. A cluster counts
# its cards itself.
CARD_THREADS = 16
# One job at a time asks an endpoint, so that inference.concurrency is all that is asked at once. Not in
# a profile, whose list of resources goes where the command line has one of its own.
if "endpoint" not in workflow.global_resources:
    workflow.register_resource("endpoint", 1)
if workflow.resource_settings.nodes is None:
    _cards = max(1, len(devices.visible()))
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", _cards)
    # the cores of a job that computes on a card: shared out, or a second card would wait for them
    CARD_THREADS = max(1, min(16, (workflow.resource_settings.cores or 16) // _cards))

SCHEMA = Path(workflow.basedir, "workflow/schemas/config.schema.json")
# what follows shows what is at fault, and a key must not be shown
_models = config.get("models")
for _name, _entry in _models.items() if isinstance(_models, dict) else ():
    _key = _entry.get("key") if isinstance(_entry, dict) else None
    if _key is not None and not re.fullmatch("[A-Z][A-Z0-9_]*", str(_key)):
        raise WorkflowError(
            f"models.{_name}.key: must be the name of an environment variable, in capitals; the key "
            "itself belongs into that variable and into no file"
        )
in_one_line("", registry.check, config, SCHEMA, "config")

# of the jobs that go to a cluster together, those with a GPU share what the largest job asks for
if workflow.resource_settings.nodes is not None and (
    "gpu" not in workflow.global_resources
):
    workflow.register_resource("gpu", config["training"]["processes"])
    workflow.resource_scopes["gpu"] = "local"
RUN = f"results/{config['run']}"
# `python` in the rules is the one that runs Snakemake, also where its environment is not activated;
# with --sdm conda it is that of the rule's environment, which holds the packages and not `ruie`
if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    _python = f"PYTHONNOUSERSITE=1 PYTHONPATH={shlex.quote(workflow.basedir)}"
else:
    _python = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
# the digest of config.json is for the stamps of result tables (ruie/stamp.py)
CONFIG_TEXT = json.dumps(config, indent=1, sort_keys=True)
_digest = sha256(f"{CONFIG_TEXT}\n".encode()).hexdigest()
# a prefix takes the place of Snakemake's own, which lets a pipe fail with any of its commands
shell.prefix(f"set -euo pipefail; export {_python} {stamp.CONFIG}={_digest}; ")
SYSTEMS = config["systems"]
MODELS = config["models"]


def is_endpoint(name):
    return "endpoint" in MODELS[name]


# `snakemake download` comes before there is any data; Snakemake itself learns its targets only after
# it has read the rules
DOWNLOADING = "download" in sys.argv[1:]


def load_registry(path):
    """The datasets of the run, by name, each with its place on disk."""
    named = in_one_line("datasets.registry ", registry.load, Path(path))
    chosen = config["datasets"]["include"] or list(named)
    unknown = sorted(set(chosen) - set(named))
    if unknown:
        raise WorkflowError(
            f"datasets.include: {unknown} are not in {path}; correct the names"
        )
    root = Path(config["datasets"]["root"])
    missing = [n for n in chosen if not (root / named[n]["path"]).exists()]
    if missing and not DOWNLOADING:
        raise WorkflowError(
            f"{root / named[missing[0]]['path']}: no such data folder (dataset {missing[0]}"
            + (f", and {len(missing) - 1} more" if len(missing) > 1 else "")
            + f"); set datasets.root to where the data lies, mend the path in {path}, or take the "
            "originals of what is public: `snakemake download --cores 1` fetches them, --configfile "
            "workflow/studies/original.yaml reads them"
        )
    return {
        n: {**named[n], "path": str(root / named[n]["path"])}
        for n in named
        if n in chosen
    }


DATASETS = load_registry(config["datasets"]["registry"])


def reading(dataset, split):
    """A dataset's format, and what its reader is told; stops at what no reader can read."""
    row = DATASETS[dataset]
    form = import_module(f"ruie.readers.{FORMATS[row['format']]}")
    source = Source(
        Path(row["path"]),
        row["task"],
        dataset,
        split,
        row.get("files"),
        options=row.get("options", {}),
    )
    return form, source


def source_files(dataset, split):
    """The files that normalising a split reads: its own, what lies beside them under the same name
    (stand-off), those that its label set is in, and those that an option or the format names.
    """
    row = DATASETS[dataset]
    form, source = reading(dataset, split)
    found = split_files(source, form.SUFFIXES, split)
    if not found:
        raise UserError(
            f"{source.path}: no file of split {split!r}; provide it, name it under `files`, or say "
            f"in {config['datasets']['registry']} that there is none"
        )
    root = source.path if source.path.is_dir() else source.path.parent
    named = [getattr(form, "LABELS", None)]
    named += [source.options.get(option) for option in ("ontology", "names")]
    beside = [root / name for name in named if name]
    for path in beside:
        if not path.is_file():
            raise UserError(f"{path}: no such file; provide it")
    if not hasattr(form, "LABELS") and ("labels" not in row or row["task"] == "EEA"):
        found += [f for s in SPLIT_NAMES for f in split_files(source, form.SUFFIXES, s)]
    if source.path.is_dir():
        found += [f for p in found for f in p.parent.glob(f"{glob.escape(p.stem)}.*")]
    beside += [f for pattern in getattr(form, "BESIDE", ()) for f in root.glob(pattern)]
    return sorted({str(f) for f in found + beside})


def check_reading(dataset):
    """A task, option or file that cannot be read, and a file in two splits, before the plan."""
    row = DATASETS[dataset]
    splits = ["test"] * row["evaluate"] + ["train"] * row["train"]
    check_source(*reading(dataset, splits[0] if splits else "test"))
    seen = set()
    for split in splits:
        source_files(dataset, split)
        form, source = reading(dataset, split)
        own = set(split_files(source, form.SUFFIXES, split))
        if own & seen:
            raise UserError(
                f"{min(own & seen)}: is training and test file; name the files of each split under "
                "`files` in the registry"
            )
        seen |= own


if not DOWNLOADING:
    for _name in DATASETS:
        in_one_line(f"dataset {_name}: ", check_reading, _name)

POOL = [name for name, row in DATASETS.items() if row["train"]]
TRAINING = [name for name in POOL if not DATASETS[name]["held_out"]]


def evaluated(held_out):
    """Datasets whose test sets are answered."""
    wanted = config["evaluation"]["held_out" if held_out else "held_in"]
    mine = [
        n
        for n, row in DATASETS.items()
        if row["held_out"] == held_out and row["evaluate"]
    ]
    unknown = [] if wanted == "all" else sorted(set(wanted) - set(mine))
    if unknown:
        kind = "held_out" if held_out else "held_in"
        raise WorkflowError(
            f"evaluation.{kind}: {unknown} are no {kind.replace('_', '-')} datasets of the registry "
            f"that are evaluated; those are {mine}"
        )
    return mine if wanted == "all" else [n for n in mine if n in wanted]


EVALUATED = {True: evaluated(True), False: evaluated(False)}
for _what, _names in {
    "dataset with a training set": POOL,
    "held-in dataset with a training set": TRAINING,
    "dataset to evaluate": EVALUATED[True] + EVALUATED[False],
}.items():
    if not _names:
        raise WorkflowError(
            f"config: there is no {_what}; widen datasets.include or evaluation, or mend the "
            "registry"
        )
if max(config["evaluation"]["k"], default=0) > config["evaluation"]["depth"]:
    raise WorkflowError(
        f"evaluation.k: {config['evaluation']['k']} is above evaluation.depth, "
        f"{config['evaluation']['depth']} demonstrations retrieved; raise depth"
    )
if not config["evaluation"]["k"] and not config["evaluation"]["zero_shot"]:
    raise WorkflowError("evaluation.k: names no k, and zero_shot is false; name one")
if config["candidates"]["k"] <= max(
    config["reward"]["positives"], config["retriever"]["positives"]
):
    raise WorkflowError(
        f"candidates.k: {config['candidates']['k']} candidates leave no negative beside the "
        "positives of reward and retriever; raise it"
    )
_sample = config["scoring"]["sample"]
if _sample is not None and _sample <= max(
    config["reward"]["positives"], config["retriever"]["positives"]
):
    raise WorkflowError(
        f"scoring.sample: {_sample} scored candidates leave no negative beside the positives of "
        "reward and retriever; raise it"
    )
if config["training"]["cpu"] and config["training"]["processes"] > 1:
    raise WorkflowError(
        "training.processes: accelerate starts one process on a CPU; set it to 1"
    )
for _place in (
    "evaluation.llms",
    "evaluation.systems",
    "scoring.llm",
    "reward.model",
    "retriever.model",
):
    _section, _key = _place.split(".")
    _names = config[_section][_key]
    for _name in [_names] if isinstance(_names, str) else _names:
        _known = SYSTEMS if _key == "systems" else MODELS
        if _name not in _known:
            raise WorkflowError(
                f"{_place}: {_name!r} is not defined; use one of {sorted(_known)}"
            )
        if (
            _known is MODELS
            and _section != "evaluation"
            and "endpoint" in MODELS[_name]
        ):
            raise WorkflowError(
                f"{_place}: {_name!r} is an endpoint, which answers and no more; this needs a "
                "model of your own (hub, path or embedded)"
            )


# Supervised models (Table 1), asked in their own format and without demonstrations; and the systems
# that are judged by the demonstrations that they find.
SFT = [n for n in config["evaluation"]["systems"] if SYSTEMS[n]["retriever"] == "none"]
RETRIEVING = [n for n in config["evaluation"]["systems"] if n not in SFT]


def sft_datasets(system):
    """Datasets whose test sets a supervised system answers: those of its tasks."""
    entry = SYSTEMS[system]
    mine = [
        n
        for n in EVALUATED[True] + EVALUATED[False]
        if DATASETS[n]["task"] in entry.get("tasks", examples.TASKS)
    ]
    if not mine:
        raise WorkflowError(
            f"systems.{system}.tasks: no dataset to evaluate is of these tasks; widen them"
        )
    for dataset in mine:
        in_one_line(
            f"systems.{system}: ",
            formats.check,
            entry["format"],
            DATASETS[dataset]["task"],
            dataset,
        )
    return mine


def sft_backend(system):
    """Its own, or the one that its family's models need."""
    usual = config["inference"]["backend"]
    if formats.FORMATS[SYSTEMS[system]["format"]].encoder_decoder:
        usual = "transformers"  # the only one that runs encoder-decoder models
    return SYSTEMS[system].get("backend", usual)


for _name in SFT:
    _model = SYSTEMS[_name]["llm"]
    if _model not in MODELS:
        raise WorkflowError(
            f"systems.{_name}.llm: {_model!r} is not defined; use one of {sorted(MODELS)}"
        )
    if is_endpoint(_model):
        raise WorkflowError(
            f"systems.{_name}.llm: {_model!r} is an endpoint; a supervised model is asked in this "
            "process alone: give a model of your own (hub, path or embedded)"
        )
    sft_datasets(_name)


for _name in RETRIEVING:
    _alone = [n for n in EVALUATED[True] + EVALUATED[False] if n not in POOL]
    if SYSTEMS[_name].get("range") == "dataset" and _alone:
        raise WorkflowError(
            f"systems.{_name}.range: dataset {_alone[0]} has no training set to look in; take it "
            "out of evaluation, or choose another range"
        )
    _choice = SYSTEMS[_name].get("choose")
    if _choice is not None:
        _place, _depth = f"systems.{_name}.choose", config["evaluation"]["depth"]
        if _choice["first"] < _depth:
            raise WorkflowError(
                f"{_place}.first: {_choice['first']} is below evaluation.depth, {_depth} "
                "demonstrations kept; raise it"
            )
        if (_choice["by"] == "mmr") != ("lambda" in _choice):
            raise WorkflowError(
                f"{_place}: mmr takes a lambda from 0 to 1, cover takes none; mend it"
            )
        if SYSTEMS[_name].get("own_dataset_first"):
            raise WorkflowError(
                f"{_place}: not with own_dataset_first, which is another order; take one out"
            )
    _first = SYSTEMS[_name].get("bm25_first")
    _least = max(config["evaluation"]["depth"], (_choice or {}).get("first", 0))
    if _first is not None and _first < _least:
        raise WorkflowError(
            f"systems.{_name}.bm25_first: {_first} is below the {_least} demonstrations that are "
            "kept (evaluation.depth) or chosen among (choose.first); raise it"
        )
    if _first is None and "bm25_weight" in SYSTEMS[_name]:
        raise WorkflowError(
            f"systems.{_name}.bm25_weight: weighs the scores of BM25's first; give bm25_first too"
        )
    if "teacher_temperature" in SYSTEMS[_name] and not SYSTEMS[_name]["distill"]:
        raise WorkflowError(
            f"systems.{_name}.teacher_temperature: without distillation there is no teacher; take it "
            "out, or set distill to true"
        )
    _model = SYSTEMS[_name].get("model")
    if _model is not None and _model not in MODELS:
        raise WorkflowError(
            f"systems.{_name}.model: {_model!r} is not defined; use one of {sorted(MODELS)}"
        )
    if _model is not None and "endpoint" in MODELS[_model]:
        raise WorkflowError(
            f"systems.{_name}.model: {_model!r} is an endpoint, which answers and no more; name an "
            "encoder of your own"
        )
