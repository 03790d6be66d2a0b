# Functions and settings of the rules in ../scoring.smk.


def prompt_flags(llm):
    """What texts a language model scores."""
    # tagging writes the Input field anew, in the published code without its quotation marks
    tagged = config["scoring"]["keywords"]
    return dict(
        keywords=tagged,
        quotes=config["prompt"]["quotes"] and not tagged,
        chat=MODELS[llm].get("chat", False),
    )


def plan_flags(llm):
    return flags(max_length=config["scoring"]["max_length"], **prompt_flags(llm))


def shown_before():
    """What the plan is told of `scoring.context`, where it is used."""
    return dict(context=config["scoring"]["context"] or None)


def score_flags(llm, **further):
    number = config["scoring"]["dtype"] or dtype(llm)
    return flags(version="score-2", dtype=number, **prompt_flags(llm), **further)
