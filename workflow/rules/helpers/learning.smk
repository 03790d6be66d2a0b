# Functions and settings of the rules in ../learning.smk.

# one text form and the first round's scores measure all of them
LEARNERS = [
    s
    for s in dict.fromkeys(map(made_as, filter(is_trained, RETRIEVING)))
    if fields(s).items() <= config["retriever"].items()
]


def learning_table():
    """The table of a run that trains."""
    return [f"{RUN}/learning.parquet"] if LEARNERS else []


def taught():
    """The reward models that the run's systems learn from, by their place in the run."""
    variants = dict.fromkeys(
        variant(s) for s in LEARNERS if needs_rewards(s) and not round_of(s)
    )
    return {f"reward/{v}": f"{RUN}/rewards/{v}.parquet" for v in variants}


def learners():
    """Folders of the trained retrievers, by their place in the run."""
    return {f"retriever/{s}": f"{RUN}/retriever/{s}/model" for s in LEARNERS}
