# What the trainings have learned, on the queries that they hold aside.
include: "helpers/learning.smk"


if LEARNERS:

    rule learning:
        input:
            scores=SCORES,
            candidates=f"{RUN}/candidates.parquet",
            queries=f"{RUN}/queries.parquet",
            pool=f"{RUN}/training_pool.parquet",
            rewards=list(taught().values()),
            retrievers=list(learners().values()),
            base=model(config["retriever"]["model"]),
            code=code("learning", "rankers", "ranking", "aside", "bootstrap"),
        output:
            f"{RUN}/learning.parquet",
        log:
            f"{RUN}/logs/learning.log",
        benchmark:
            f"{RUN}/logs/learning.tsv"
        conda:
            "../../envs/train.yaml"
        threads: CARD_THREADS
        resources:
            mem_mb=growing(16000),
            runtime=growing(240),
            gpu=1,
        params:
            models=flags(
                reward=[f"{name}={path}" for name, path in taught().items()] or None,
                retriever=[f"{name}={path}" for name, path in learners().items()],
                plain=[
                    f"retriever/{s}" for s in LEARNERS if not SYSTEMS[s]["keywords"]
                ]
                or None,
            ),
            flags=flags(
                positives=config["reward"]["positives"],
                last=config["reward"]["last"],
                watch=config["training"]["watch"],
                resamples=config["evaluation"]["resamples"],
                seed=config["seed"],
                **encoder_settings(LEARNERS[0]),
                **texts(LEARNERS[0], "query"),
                **texts(LEARNERS[0], "demonstration"),
            ),
        shell:
            "python -m ruie.learning --scores {input.scores} --candidates {input.candidates}"
            " --queries {input.queries} --pool {input.pool} {params.models} --base {input.base:q}"
            " {params.flags} --out {output} > {log} 2>&1"
