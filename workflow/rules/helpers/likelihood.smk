# Functions of the rules in ../likelihood.smk.

# An endpoint does not tell how likely a text is that its model has not made.
LOCAL_LLMS = [llm for llm in config["evaluation"]["llms"] if not is_endpoint(llm)]


def likelihood_flags(w):
    """As inference asks, in numbers of scoring."""
    return flags(
        version="likelihood-1",
        system=w.system,
        llm=w.llm,
        k=w.k,
        quotes=config["prompt"]["quotes"],
        chat=MODELS[w.llm].get("chat", False),
        by_score="choose" in SYSTEMS[w.system],
        max_input=config["inference"]["max_input"],
        dtype=config["scoring"]["dtype"] or dtype(w.llm),
    )


def likelihood_files(held_out):
    """What each system that retrieves gives, of one side of the registry."""
    return [
        f"{RUN}/likelihood/{system}/{llm}/k{k}/{dataset}.parquet"
        for system in RETRIEVING
        for llm in LOCAL_LLMS
        for k in config["evaluation"]["k"]
        for dataset in EVALUATED[held_out]
    ]


def likelihood_paths(held_out):
    """The same for bash."""
    runs = f"{braces(RETRIEVING)}/{braces(LOCAL_LLMS)}/k{braces(config['evaluation']['k'])}"
    return f"{RUN}/likelihood/{runs}/{answered([held_out])}.parquet"


def likelihood_tables(wildcards):
    """A table for each side of the registry that has datasets."""
    if len(RETRIEVING) < 2 or not LOCAL_LLMS or not config["evaluation"]["k"]:
        raise WorkflowError(
            "likelihoods: nothing to compare; give evaluation.systems two that retrieve, "
            "evaluation.k one number, and evaluation.llms one in a folder, for an endpoint does "
            "not tell how likely a text is"
        )
    return [
        f"{RUN}/tables/{side}_likelihood.parquet"
        for side, held_out in SIDES.items()
        if EVALUATED[held_out]
    ]
