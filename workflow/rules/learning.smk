# What the trainings have learned, on queries held aside: `snakemake learning`.
def reward_variants():
    """Reward models that the run trains."""
    return [name.split("/")[1] for name in trainings() if name.startswith("reward/")]


def trained(tagged):
    """(system, folder) of the retrievers whose pool is keyword-tagged, or is not."""
    return [
        (s, f"{RUN}/retriever/{s}/model")
        for s in config["evaluation"]["systems"]
        if is_trained(s) and SYSTEMS[s]["keywords"] == tagged
    ]


rule learning:
    input:
        scores=SCORES,
        candidates=f"{RUN}/candidates.parquet",
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=model(config["retriever"]["model"]),
        rewards=[f"{RUN}/rewards/{v}.parquet" for v in reward_variants()],
        retrievers=[folder for tagged in (True, False) for _, folder in trained(tagged)],
        code=code("learning", "aside", "bootstrap"),
    output:
        f"{RUN}/learning.parquet",
    log:
        f"{RUN}/logs/learning.log",
    threads: 16
    resources:
        mem_mb=16000,
        runtime=60,
        gpu=1,
    params:
        named=flags(
            rewards=[f"{v}={RUN}/rewards/{v}.parquet" for v in reward_variants()]
            or None,
            retrievers=[f"{s}={folder}" for s, folder in trained(True)] or None,
            plain_retrievers=[f"{s}={folder}" for s, folder in trained(False)] or None,
        ),
        flags=flags(
            version="learning-1",
            watch=config["training"]["watch"],
            split_seed=config["seed"],
            seed=config["seed"],
            resamples=config["evaluation"]["resamples"],
            positives=config["retriever"]["positives"],
            last=config["retriever"]["last"],
            pooling=config["retriever"]["pooling"],
            no_normalize=not config["retriever"]["normalize"],
            max_length=config["retriever"]["max_length"],
            **{
                f"{side}_{what}": config["retriever"][f"{side}_{what}"]
                for side in ("query", "demonstration")
                for what in ("fields", "prefix")
            },
        ),
    shell:
        "python -m ruie.learning --scores {input.scores} --candidates {input.candidates}"
        " --queries {input.queries} --pool {input.pool} --model {input.model:q} {params.named}"
        " {params.flags} --out {output} > {log} 2>&1"
