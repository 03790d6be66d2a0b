# Reward model and retriever (sections 3.3 and 3.4), through Accelerate.
include: "helpers/training.smk"


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
    conda:
        "../../envs/train.yaml"
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
            **reward_seeds(w.variant),
            no_keywords=w.variant.startswith("plain"),
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
    conda:
        "../../envs/train.yaml"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(720),
        gpu=1,
    params:
        pairs=lambda w, input: flags(**{name: input[name] for name in REWARDED}),
        flags=lambda w: rewarding(w.variant),
    shell:
        "python -m ruie.score_reward {params.pairs} --queries {input.queries}"
        " --pool {input.pool} --model {input.model:q} {params.flags} --out {output} > {log} 2>&1"


rule train_retriever:
    input:
        scores=lambda w: SCORES_OF.format(round=round_of(w.system)),
        rewards=lambda w: (
            [f"{RUN}/{round_of(w.system)}rewards/{variant(w.system)}.parquet"]
            if needs_rewards(w.system)
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
    conda:
        "../../envs/train.yaml"
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
            **seeds(SYSTEMS[w.system].get("seed")),
            no_keywords=not SYSTEMS[w.system]["keywords"],
            no_distill=not SYSTEMS[w.system]["distill"],
            teacher_temperature=SYSTEMS[w.system].get("teacher_temperature"),
            no_normalize=not config["retriever"]["normalize"],
            ranked_by=ranked_by(w.system),
            answered_only=config["retriever"]["answered_only"],
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
