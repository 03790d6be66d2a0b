# Functions and settings of the rules in ../report.smk.


def trainings():
    """Folders of the trainings whose curves are shown, by their place in the run."""
    systems = [s for s in config["evaluation"]["systems"] if is_trained(s)]
    teachers = dict.fromkeys(
        f"{round_of(s)}reward/{variant(s)}" for s in systems if needs_rewards(s)
    )
    return [*teachers, *dict.fromkeys(f"retriever/{made_as(s)}" for s in systems)]


def is_bm25(system):
    """Whether a system's rank is called BM25's: over the whole pool."""
    return (
        SYSTEMS[system]["retriever"] == "bm25" and SYSTEMS[system]["range"] == "mixed"
    )


def planned():
    """Counts of the scoring's plan, where something is scored."""
    if not any(map(is_trained, config["evaluation"]["systems"])):
        return []
    return [f"{RUN}/scores/{config['scoring']['llm']}/counts.parquet"]


def explaining_variant():
    """The reward model that judges the shown demonstrations: the first that teaches."""
    systems = config["evaluation"]["systems"]
    return next(
        (
            variant(s)
            for s in systems
            if is_trained(s) and needs_rewards(s) and not round_of(s)
        ),
        None,
    )


def explains():
    """Whether the shown demonstrations are scored; there are none without any k."""
    return (
        config["report"]["explain"]
        and bool(config["evaluation"]["k"])
        and bool(RETRIEVING)
    )


def models_of_run():
    """Folders of the models that the run uses, by name; the trained ones by their place."""
    systems = config["evaluation"]["systems"]
    c = config["evaluation"]
    asked = c["zero_shot"] or (RETRIEVING and c["k"])
    # the weights behind an endpoint are not known; its address and name are in the configuration
    names = dict.fromkeys(llm for llm in c["llms"] if asked and not is_endpoint(llm))
    if any(map(is_trained, systems)):
        names |= dict.fromkeys([config["scoring"]["llm"], config["retriever"]["model"]])
        if any(is_trained(s) and needs_rewards(s) for s in systems):
            names[config["reward"]["model"]] = None
    names |= dict.fromkeys(
        SYSTEMS[s]["model"] for s in systems if SYSTEMS[s]["retriever"] == "dense"
    )
    names |= dict.fromkeys(SYSTEMS[s]["llm"] for s in SFT)
    return {name: model(name) for name in names} | {
        name: f"{RUN}/{name}/model" for name in trainings()
    }


# Tables for the report's sections, by the flag that takes them: the files, and their paths for bash.
REPORTED = {
    "comparisons": (comparisons(), lambda: " ".join(comparisons())),
    "labels": (of_runs("labels"), lambda: run_paths("labels")),
    "errors": (error_tables(), lambda: " ".join(error_tables())),
    "usage": ([f"{RUN}/tables/usage.parquet"], lambda: f"{RUN}/tables/usage.parquet"),
    "planned": (planned(), lambda: " ".join(planned())),
    "learning": (learning_table(), lambda: " ".join(learning_table())),
}
if CHAIN_DATASETS:
    REPORTED["chain"] = ([f"{RUN}/chain.parquet"], lambda: f"{RUN}/chain.parquet")
# The shown predictions, scored afterwards by the models that the training has used.
EXPLAINED = {
    **({"llm_scores": f"{RUN}/explain/scores.parquet"} if explains() else {}),
    **(
        {"reward_scores": f"{RUN}/explain/rewards.parquet"}
        if explains() and explaining_variant()
        else {}
    ),
}
