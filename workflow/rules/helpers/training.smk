# Functions and settings of the rules in ../training.smk.


def launch():
    """`accelerate launch` with the devices of the config; CPU where there is no GPU."""
    c = config["training"]
    # several processes take as many GPUs that are free; a single one does so itself
    words = [f"python -m ruie.devices {c['processes']}"] * (c["processes"] > 1)
    words += ["accelerate launch --num_machines 1 --dynamo_backend no"]
    words += [f"--num_processes {c['processes']}"]
    words += [f"--mixed_precision {c['mixed_precision']}"]
    words += ["--multi_gpu"] * (c["processes"] > 1) + ["--cpu"] * c["cpu"]
    return " ".join(words)


# rules that train, on `training.processes` GPUs
TRAININGS = ("train_reward", "train_retriever", "curve_reward", "curve_retriever")


def variant(system):
    """The reward model of a trained system: with keyword tags or on plain text (Table 6), and of a
    seed of its own."""
    entry = SYSTEMS[system]
    name = "keywords" if entry["keywords"] else "plain"
    return f"{name}-seed{entry['seed']}" if own_seed(entry.get("seed")) else name


def own_seed(seed):
    return seed is not None and seed != config["seed"]


def seeds(seed=None):
    """Seed of a training. All trainings of a run hold the same queries aside."""
    if not own_seed(seed):
        return {"seed": config["seed"]}
    return {"seed": seed, "watch_seed": config["seed"]}


def reward_seeds(variant):
    """The same, by a reward model's name."""
    _, _, seed = variant.partition("-seed")
    return seeds(int(seed) if seed else None)


def ranked_by(system):
    """Whose ranking gives a trained system's groups: the reward model's, or None for the LLM's."""
    by_reward = config["retriever"]["ranked_by"] == "reward"
    return "reward" if by_reward and SYSTEMS[system]["reward"] else None


def needs_rewards(system):
    """Whether a trained system learns from a reward model, which is distilled or ranks."""
    distilled = SYSTEMS[system]["reward"] and SYSTEMS[system]["distill"]
    return distilled or ranked_by(system) is not None


# the pairs that the reward model scores: what the LLM has scored, or all candidates where the
# reward ranks them itself
REWARDED = (
    {"candidates": f"{RUN}/{{round}}candidates.parquet"}
    if config["retriever"]["ranked_by"] == "reward"
    else {"scores": SCORES_OF}
)


def hyperparameters(section):
    """Table 9's column of a training, and what else it takes."""
    c = config[section]
    names = "steps batch_size learning_rate warmup_steps positives last negatives max_length".split()
    return {name: c[name] for name in names} | {
        "other_datasets": config["scoring"]["other_datasets"],
        "mixed_precision": config["training"]["mixed_precision"],
        "query_fields": c["query_fields"],
        "demonstration_fields": c["demonstration_fields"],
        "watch": config["training"]["watch"],
        "watch_every": config["training"]["watch_every"],
        "keywords_as_text": not config["training"]["keyword_tokens"],
    }


def computing(name):
    """How a training computes and what it keeps: resources, for they are no reason to train anew."""
    c = config["training"]
    names = "batch_tokens accumulate gradient_checkpointing save_every keep".split()
    board = f"{RUN}/tensorboard/{name}" if c["tensorboard"] else None
    return flags(**{n: c[n] for n in names}, tensorboard=board)


def rewarding(variant):
    """Flags of a reward model that scores pairs, which it reads as in its training."""
    own = config["reward"]
    return flags(
        version="reward-1",
        no_keywords=variant.startswith("plain"),
        max_length=own["max_length"],
        dtype={"bf16": "bfloat16"}.get(config["training"]["mixed_precision"]),
        query_fields=own["query_fields"],
        demonstration_fields=own["demonstration_fields"],
    )
