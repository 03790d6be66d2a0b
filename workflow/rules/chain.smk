# Where the gain is lost (docs/chain.md): BM25's candidates of evaluated queries, scored by the LLM and
# ranked by every link. The stages are those of the training; only queries and pool differ.
include: "helpers/chain.smk"


if CHAIN_DATASETS:

    ruleorder: chain > retrieve

    rule chain:
        input:
            scores=f"{CHAIN}/scores/{config['scoring']['llm']}.parquet",
            zero_shot=f"{CHAIN}/zero_shot/{config['scoring']['llm']}.parquet",
            candidates=f"{CHAIN}/candidates.parquet",
            queries=f"{CHAIN}/queries.parquet",
            pool=f"{RUN}/pool.parquet",
            rewards=list(chain_rewards().values()),
            retrievers=list(chain_retrievers().values()),
            base=[model(config["retriever"]["model"])] if LEARNERS else [],
            code=code("chain", "rankers", "ranking", "bootstrap", "plan"),
        output:
            table=f"{RUN}/chain.parquet",
            rankings=[
                f"{RUN}/demonstrations/{system}/{dataset}.parquet"
                for system in CHAINED
                for dataset in CHAIN_DATASETS
            ],
        log:
            f"{RUN}/logs/chain.log",
        benchmark:
            f"{RUN}/logs/chain.tsv"
        conda:
            "../../envs/train.yaml"
        threads: CARD_THREADS
        resources:
            mem_mb=growing(16000),
            runtime=growing(240),
            gpu=1,
        params:
            models=flags(
                reward=[f"{name}={path}" for name, path in chain_rewards().items()]
                or None,
                retriever=[
                    f"{name}={path}" for name, path in chain_retrievers().items()
                ]
                or None,
                plain=chain_plain() or None,
                base=model(config["retriever"]["model"]) if LEARNERS else None,
            ),
            rankings=flags(
                rankings=[
                    f"{SYSTEMS[system]['ranking']}={RUN}/demonstrations/{system}"
                    for system in CHAINED
                ]
                or None
            ),
            flags=flags(
                k=config["chain"]["k"],
                per_query=config["chain"]["candidates"],
                held_out=[n for n in CHAIN_DATASETS if DATASETS[n]["held_out"]]
                or None,
                resamples=config["evaluation"]["resamples"],
                seed=config["seed"],
                **(encoder_settings(LEARNERS[0]) if LEARNERS else {}),
                **(texts(LEARNERS[0], "query") if LEARNERS else {}),
                **(texts(LEARNERS[0], "demonstration") if LEARNERS else {}),
            ),
        shell:
            "python -m ruie.chain --scores {input.scores} --zero-shot {input.zero_shot}"
            " --candidates {input.candidates} --queries {input.queries} --pool {input.pool}"
            " {params.models} {params.rankings} {params.flags} --out {output.table} > {log} 2>&1"

else:

    rule chain:
        input:
            nothing_to_measure,


rule chain_queries:
    input:
        data=[
            f"{RUN}/data/{dataset}/{config['chain']['split']}.parquet"
            for dataset in CHAIN_DATASETS
        ],
        code=code("sample"),
    output:
        f"{CHAIN}/queries.parquet",
    log:
        f"{RUN}/logs/chain_queries.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        flags=flags(limit=config["chain"]["queries_per_dataset"], seed=config["seed"]),
    shell:
        "python -m ruie.sample --input {input.data} {params.flags} --out {output} > {log} 2>&1"


use rule candidates as chain_candidates with:
    input:
        queries=f"{CHAIN}/queries.parquet",
        pool=f"{RUN}/pool.parquet",
        index=f"{RUN}/bm25/pool/{config['candidates']['range']}",
    output:
        f"{CHAIN}/candidates.parquet",
    log:
        f"{RUN}/logs/chain_candidates.log",
    benchmark:
        f"{RUN}/logs/chain_candidates.tsv"
    priority: 0


use rule score_plan as chain_plan with:
    input:
        candidates=f"{CHAIN}/candidates.parquet",
        queries=f"{CHAIN}/queries.parquet",
        pool=f"{RUN}/pool.parquet",
        model=lambda w: model(w.llm),
    output:
        plan=f"{CHAIN}/scores/{{llm}}/plan.parquet",
        counts=f"{CHAIN}/scores/{{llm}}/counts.parquet",
    log:
        f"{RUN}/logs/chain_plan/{{llm}}.log",
    benchmark:
        f"{RUN}/logs/chain_plan/{{llm}}.tsv"
    priority: 0
    params:
        draw=flags(
            sample=max(config["chain"]["candidates"]),
            seed=config["seed"],
            **shown_before(),
        ),


use rule score as chain_score with:
    input:
        plan=f"{CHAIN}/scores/{{llm}}/plan.parquet",
        queries=f"{CHAIN}/queries.parquet",
        pool=f"{RUN}/pool.parquet",
        model=lambda w: model(w.llm),
    output:
        f"{CHAIN}/scores/{{llm}}/{{shard}}-of-{{shards}}.parquet",
    log:
        f"{RUN}/logs/chain_score/{{llm}}-{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RUN}/logs/chain_score/{{llm}}-{{shard}}-of-{{shards}}.tsv"
    priority: 0


use rule gather as chain_gather with:
    input:
        plan=f"{CHAIN}/scores/{{llm}}/plan.parquet",
        shards=lambda w: shard_files(f"{CHAIN}/scores/{w.llm}"),
    output:
        f"{CHAIN}/scores/{{llm}}.parquet",
    log:
        f"{RUN}/logs/chain_gather/{{llm}}.log",


# One prompt a query: a single job.
rule chain_zero_shot:
    input:
        candidates=f"{CHAIN}/candidates.parquet",
        queries=f"{CHAIN}/queries.parquet",
        pool=f"{RUN}/pool.parquet",
        model=lambda w: model(w.llm),
    output:
        scores=f"{CHAIN}/zero_shot/{{llm}}.parquet",
        plan=temp(f"{CHAIN}/zero_shot/{{llm}}.plan.parquet"),
    log:
        f"{RUN}/logs/chain_zero_shot/{{llm}}.log",
    benchmark:
        f"{RUN}/logs/chain_zero_shot/{{llm}}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(32000),
        runtime=growing(240),
        gpu=1,
        batch_tokens=config["scoring"]["batch_tokens"],
        cache_mb=config["scoring"]["cache_mb"],
    params:
        plan=lambda w: plan_flags(w.llm),
        flags=lambda w: score_flags(w.llm),
        store=config["scoring"]["store"],
    shell:
        "(python -m ruie.plan --zero-shot --candidates {input.candidates}"
        " --queries {input.queries} --pool {input.pool} --model {input.model:q} {params.plan}"
        " --batch-tokens {resources.batch_tokens} --out {output.plan} &&"
        " python -m ruie.score --plan {output.plan} --queries {input.queries} --pool {input.pool}"
        " --model {input.model:q} --store {params.store:q} {params.flags}"
        " --batch-tokens {resources.batch_tokens} --cache-mb {resources.cache_mb}"
        " --out {output.scores}) > {log} 2>&1"


use rule score_reward as chain_score_reward with:
    input:
        scores=f"{CHAIN}/scores/{config['scoring']['llm']}.parquet",
        queries=f"{CHAIN}/queries.parquet",
        pool=f"{RUN}/pool.parquet",
        model=f"{RUN}/reward/{{variant}}/model",
    output:
        f"{CHAIN}/rewards/{{variant}}.parquet",
    log:
        f"{RUN}/logs/chain_score_reward/{{variant}}.log",
    benchmark:
        f"{RUN}/logs/chain_score_reward/{{variant}}.tsv"
    priority: 0
    params:
        pairs=flags(scores=f"{CHAIN}/scores/{config['scoring']['llm']}.parquet"),


# Learning curves: the same trainings on a part of what the LLM has scored.
rule curve_scores:
    input:
        scores=SCORES,
        queries=f"{RUN}/queries.parquet",
        code=code("subset", "sample", "plan"),
    output:
        f"{RUN}/curves/{{size}}/scores.parquet",
    log:
        f"{RUN}/logs/curves/{{size}}/scores.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        flags=lambda w: flags(
            limit=CURVES[w.size]["queries"],
            sample=CURVES[w.size]["candidates"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.subset --scores {input.scores} --queries {input.queries} {params.flags}"
        " --out {output} > {log} 2>&1"


use rule train_reward as curve_reward with:
    input:
        scores=f"{RUN}/curves/{{size}}/scores.parquet",
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=model(config["reward"]["model"]),
    output:
        model=directory(f"{RUN}/curves/{{size}}/reward/{{variant}}/model"),
        log=f"{RUN}/curves/{{size}}/reward/{{variant}}/training.parquet",
        pace=f"{RUN}/curves/{{size}}/reward/{{variant}}/pace.parquet",
    log:
        f"{RUN}/logs/curves/{{size}}/reward-{{variant}}.log",
    benchmark:
        f"{RUN}/logs/curves/{{size}}/reward-{{variant}}.tsv"
    priority: 0
    resources:
        mem_mb=growing(32000),
        runtime=growing(1440),
        gpu=config["training"]["processes"],
        computing=lambda w: computing(f"curves/{w.size}/reward/{w.variant}"),


use rule score_reward as curve_rewards with:
    input:
        scores=f"{RUN}/curves/{{size}}/scores.parquet",
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=f"{RUN}/curves/{{size}}/reward/{{variant}}/model",
    output:
        f"{RUN}/curves/{{size}}/rewards/{{variant}}.parquet",
    log:
        f"{RUN}/logs/curves/{{size}}/rewards-{{variant}}.log",
    benchmark:
        f"{RUN}/logs/curves/{{size}}/rewards-{{variant}}.tsv"
    priority: 0
    params:
        pairs=lambda w: flags(scores=f"{RUN}/curves/{w.size}/scores.parquet"),


use rule score_reward as curve_chain_rewards with:
    input:
        scores=f"{CHAIN}/scores/{config['scoring']['llm']}.parquet",
        queries=f"{CHAIN}/queries.parquet",
        pool=f"{RUN}/pool.parquet",
        model=f"{RUN}/curves/{{size}}/reward/{{variant}}/model",
    output:
        f"{CHAIN}/rewards/{{size}}/{{variant}}.parquet",
    log:
        f"{RUN}/logs/curves/{{size}}/chain-{{variant}}.log",
    benchmark:
        f"{RUN}/logs/curves/{{size}}/chain-{{variant}}.tsv"
    priority: 0
    params:
        pairs=flags(scores=f"{CHAIN}/scores/{config['scoring']['llm']}.parquet"),


use rule train_retriever as curve_retriever with:
    input:
        scores=f"{RUN}/curves/{{size}}/scores.parquet",
        rewards=lambda w: (
            [f"{RUN}/curves/{w.size}/rewards/{variant(w.system)}.parquet"]
            if needs_rewards(w.system)
            else []
        ),
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=model(config["retriever"]["model"]),
    output:
        model=directory(f"{RUN}/curves/{{size}}/retriever/{{system}}/model"),
        log=f"{RUN}/curves/{{size}}/retriever/{{system}}/training.parquet",
        pace=f"{RUN}/curves/{{size}}/retriever/{{system}}/pace.parquet",
    log:
        f"{RUN}/logs/curves/{{size}}/retriever-{{system}}.log",
    benchmark:
        f"{RUN}/logs/curves/{{size}}/retriever-{{system}}.tsv"
    priority: 0
    resources:
        mem_mb=growing(32000),
        runtime=growing(1440),
        gpu=config["training"]["processes"],
        computing=lambda w: computing(f"curves/{w.size}/retriever/{w.system}"),
