# BM25 candidates of the training queries, and the language model's preference (section 3.2). What
# the retriever waits for has priority over answers, which only the tables wait for.
include: "helpers/scoring.smk"


rule bm25_index:
    input:
        pool=f"{RUN}/{{part}}.parquet",
    output:
        directory(f"{RUN}/bm25/{{part}}/{{range}}"),
    log:
        f"{RUN}/logs/bm25_index/{{part}}-{{range}}.log",
    benchmark:
        f"{RUN}/logs/bm25_index/{{part}}-{{range}}.tsv"
    conda:
        "../../envs/bm25.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=syntax("bm25", "ranking"),
    shell:
        "python -m ruie.bm25 --pool {input.pool} --range {wildcards.range} --out {output}"
        " > {log} 2>&1"


rule candidates:
    input:
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        index=f"{RUN}/bm25/training_pool/{config['candidates']['range']}",
    output:
        f"{RUN}/candidates.parquet",
    log:
        f"{RUN}/logs/candidates.log",
    benchmark:
        f"{RUN}/logs/candidates.tsv"
    priority: 50
    conda:
        "../../envs/bm25.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        code=syntax("retrieve", "bm25", "ranking"),
        flags=flags(
            retriever="bm25",
            range=config["candidates"]["range"],
            depth=config["candidates"]["k"],
            k1=config["candidates"]["k1"],
            b=config["candidates"]["b"],
        ),
    shell:
        "python -m ruie.retrieve --queries {input.queries} --pool {input.pool} --index {input.index}"
        " {params.flags} --threads {threads} --out {output} > {log} 2>&1"


rule score_plan:
    input:
        candidates=f"{RUN}/{{round}}candidates.parquet",
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=lambda w: model(w.llm),
    output:
        plan=f"{RUN}/{{round}}scores/{{llm}}/plan.parquet",
        counts=f"{RUN}/{{round}}scores/{{llm}}/counts.parquet",
    log:
        f"{RUN}/logs/{{round}}plan/{{llm}}.log",
    benchmark:
        f"{RUN}/logs/{{round}}plan/{{llm}}.tsv"
    priority: 50
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=growing(32000),
        runtime=growing(240),
        # as in `score`: no reason to plan again
        batch_tokens=config["scoring"]["batch_tokens"],
    params:
        code=syntax("plan", "context", "pieces", "prompt", "trie"),
        flags=lambda w: plan_flags(w.llm),
        draw=flags(
            sample=config["scoring"]["sample"],
            seed=config["seed"],
            **shown_before(),
        ),
    shell:
        "python -m ruie.plan --candidates {input.candidates} --queries {input.queries}"
        " --pool {input.pool} --model {input.model:q} {params.flags} {params.draw}"
        " --batch-tokens {resources.batch_tokens} --out {output.plan} --counts {output.counts}"
        " > {log} 2>&1"


rule score:
    input:
        plan=f"{RUN}/{{round}}scores/{{llm}}/plan.parquet",
        queries=f"{RUN}/queries.parquet",
        pool=f"{RUN}/training_pool.parquet",
        model=lambda w: model(w.llm),
    output:
        f"{RUN}/{{round}}scores/{{llm}}/{{shard}}-of-{{shards}}.parquet",
    log:
        f"{RUN}/logs/{{round}}score/{{llm}}-{{shard}}-of-{{shards}}.log",
    benchmark:
        f"{RUN}/logs/{{round}}score/{{llm}}-{{shard}}-of-{{shards}}.tsv"
    priority: 50
    conda:
        "../../envs/train.yaml"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(32000),
        runtime=growing(1440),
        gpu=1,
        # resources and no parameters: they change the speed alone and are no reason to score again
        batch_tokens=config["scoring"]["batch_tokens"],
        cache_mb=config["scoring"]["cache_mb"],
    params:
        store=config["scoring"]["store"],
        flags=lambda w: score_flags(w.llm, shard=w.shard, shards=w.shards),
    shell:
        "python -m ruie.score --plan {input.plan} --queries {input.queries}"
        " --pool {input.pool} --model {input.model:q} --store {params.store:q} {params.flags}"
        " --batch-tokens {resources.batch_tokens} --cache-mb {resources.cache_mb}"
        " --out {output} > {log} 2>&1"


rule gather:
    input:
        plan=f"{RUN}/{{round}}scores/{{llm}}/plan.parquet",
        shards=lambda w: shard_files(f"{RUN}/{w.round}scores/{w.llm}"),
    output:
        f"{RUN}/{{round}}scores/{{llm}}.parquet",
    log:
        f"{RUN}/logs/{{round}}gather/{{llm}}.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(16000),
        runtime=growing(60),
    params:
        code=syntax("gather"),
    shell:
        "python -m ruie.gather --plan {input.plan} --shards {input.shards}"
        " --out {output} > {log} 2>&1"


# How deep in BM25's list candidates help, on demand (docs/chain.md): what candidates.k is worth.
rule depth:
    input:
        scores=SCORES,
        candidates=f"{RUN}/candidates.parquet",
        queries=f"{RUN}/queries.parquet",
        code=code("depth", "ranking", "bootstrap"),
    output:
        f"{RUN}/depth.parquet",
    log:
        f"{RUN}/logs/depth.log",
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(16000),
        runtime=growing(60),
    params:
        flags=flags(
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.depth --scores {input.scores} --candidates {input.candidates}"
        " --queries {input.queries} {params.flags} --out {output} > {log} 2>&1"
