# Reward model and retriever (sections 3.3 and 3.4), through Accelerate.


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


def has_teacher(system):
    """Whether a trained system is distilled from a reward model."""
    return SYSTEMS[system]["reward"] and SYSTEMS[system]["distill"]


def variant(system):
    """The reward model of a trained system: with keyword tags or on plain text (Table 6)."""
    return "keywords" if SYSTEMS[system]["keywords"] else "plain"


def ranked_by(system):
    """Whose ranking gives a trained system's groups: the reward model's, or None for the LLM's."""
    by_reward = config["retriever"]["ranked_by"] == "reward"
    return "reward" if by_reward and SYSTEMS[system]["reward"] else None


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


rule train_reward:
    input:
        scores=SCORES_OF,
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=model(config["reward"]["model"]),
    output:
        model=directory(f"{RUN}/{{round}}reward/{{variant}}/model"),
        log=f"{RUN}/{{round}}reward/{{variant}}/training.parquet",
        pace=f"{RUN}/{{round}}reward/{{variant}}/pace.parquet",
    log:
        f"{RUN}/logs/{{round}}train_reward/{{variant}}.log",
    benchmark:
        f"{RUN}/logs/{{round}}train_reward/{{variant}}.tsv"
    priority: 50
    threads: CARD_THREADS
    resources:
        mem_mb=growing(32000),
        runtime=growing(1440),
        gpu=config["training"]["processes"],
        computing=lambda w: computing(f"{w.round}reward/{w.variant}"),
    params:
        launch=launch(),
        flags=lambda w: flags(
            version="train-2",
            seed=config["seed"],
            no_keywords=w.variant == "plain",
            **hyperparameters("reward"),
        ),
    shell:
        "{params.launch} --num_cpu_threads_per_process {threads} -m ruie.train_reward"
        " --scores {input.scores} --queries {input.queries} --pool {input.pool}"
        " --model {input.model:q} {params.flags} {resources.computing} --log {output.log}"
        " --pace {output.pace} --out {output.model} > {log} 2>&1"


rule score_reward:
    input:
        **REWARDED,
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=f"{RUN}/{{round}}reward/{{variant}}/model",
    output:
        f"{RUN}/{{round}}rewards/{{variant}}.parquet",
    log:
        f"{RUN}/logs/{{round}}score_reward/{{variant}}.log",
    benchmark:
        f"{RUN}/logs/{{round}}score_reward/{{variant}}.tsv"
    priority: 50
    threads: CARD_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(720),
        gpu=1,
    params:
        pairs=lambda w, input: flags(**{name: input[name] for name in REWARDED}),
        flags=lambda w: flags(
            version="reward-1",
            no_keywords=w.variant == "plain",
            max_length=config["reward"]["max_length"],
            query_fields=config["reward"]["query_fields"],
            demonstration_fields=config["reward"]["demonstration_fields"],
        ),
    shell:
        "python -m ruie.score_reward {params.pairs} --queries {input.queries}"
        " --pool {input.pool} --model {input.model:q} {params.flags} --out {output} > {log} 2>&1"


rule train_retriever:
    input:
        scores=lambda w: SCORES_OF.format(round=round_of(w.system)),
        rewards=lambda w: (
            [f"{RUN}/{round_of(w.system)}rewards/{variant(w.system)}.parquet"]
            if SYSTEMS[w.system]["reward"]
            else []
        ),
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=model(config["retriever"]["model"]),
    output:
        model=directory(f"{RUN}/retriever/{{system}}/model"),
        log=f"{RUN}/retriever/{{system}}/training.parquet",
        pace=f"{RUN}/retriever/{{system}}/pace.parquet",
    log:
        f"{RUN}/logs/train_retriever/{{system}}.log",
    benchmark:
        f"{RUN}/logs/train_retriever/{{system}}.tsv"
    priority: 50
    threads: CARD_THREADS
    resources:
        mem_mb=growing(32000),
        runtime=growing(1440),
        gpu=config["training"]["processes"],
        computing=lambda w: computing(f"retriever/{w.system}"),
    params:
        launch=launch(),
        # the folder is named by its flag where there is one: none teaches by the LLM's scores
        rewards=lambda w, input: flags(rewards=input.get("rewards") or None),
        flags=lambda w: flags(
            version="train-2",
            seed=config["seed"],
            no_keywords=not SYSTEMS[w.system]["keywords"],
            no_distill=not SYSTEMS[w.system]["distill"],
            no_normalize=not config["retriever"]["normalize"],
            ranked_by=ranked_by(w.system),
            pooling=config["retriever"]["pooling"],
            alpha=config["retriever"]["alpha"],
            tau=config["retriever"]["tau"],
            query_prefix=config["retriever"]["query_prefix"],
            demonstration_prefix=config["retriever"]["demonstration_prefix"],
            **hyperparameters("retriever") | fields(w.system),
        ),
    shell:
        "{params.launch} --num_cpu_threads_per_process {threads} -m ruie.train_retriever"
        " --scores {input.scores} {params.rewards} --queries {input.queries} --pool {input.pool}"
        " --model {input.model:q} {params.flags} {resources.computing} --log {output.log}"
        " --pace {output.pace} --out {output.model} > {log} 2>&1"
