# What is not in the paper and needs jobs of its own (docs/beyond.md); where nothing asks for it,
# there are no such rules.
if any(SYSTEMS[s].get("schema_text") == "both" for s in RETRIEVING):

    rule bm25_index_labels:
        input:
            pool=f"{RUN}/{{part}}.parquet",
            code=code("bm25", "ranking"),
        output:
            directory(f"{RUN}/bm25_labels/{{part}}/{{range}}"),
        log:
            f"{RUN}/logs/bm25_index_labels/{{part}}-{{range}}.log",
        benchmark:
            f"{RUN}/logs/bm25_index_labels/{{part}}-{{range}}.tsv"
        conda:
            "../../envs/bm25.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
        params:
            flags=flags(fields=["labels", *BM25_FIELDS["demonstration_fields"]]),
        shell:
            "python -m ruie.bm25 --pool {input.pool} --range {wildcards.range} {params.flags}"
            " --out {output} > {log} 2>&1"


# What BM25 finds first for the test queries, for the systems that rank that alone.
if any("bm25_first" in SYSTEMS[s] for s in RETRIEVING):

    rule bm25_first:
        input:
            queries=f"{RUN}/test/{{dataset}}.parquet",
            pool=f"{RUN}/pool.parquet",
            index=f"{RUN}/bm25/pool/{{range}}",
        output:
            f"{RUN}/bm25_first/{{range}}-{{first}}/{{dataset}}.parquet",
        log:
            f"{RUN}/logs/bm25_first/{{range}}-{{first}}/{{dataset}}.log",
        group:
            "retrieve"
        conda:
            "../../envs/bm25.yaml"
        resources:
            mem_mb=growing(4000),
            runtime=growing(60),
        params:
            code=syntax("retrieve", "bm25", "ranking"),
            flags=flags(**{n: config["candidates"][n] for n in ("k1", "b")}),
        shell:
            "python -m ruie.retrieve --retriever bm25 --queries {input.queries}"
            " --pool {input.pool} --index {input.index} --range {wildcards.range}"
            " --depth {wildcards.first} {params.flags} --out {output} > {log} 2>&1"


# A further round: what a trained retriever finds takes the place of BM25's candidates. Plan, scores
# and reward models of a round lie in its folder, `rounds/<system that finds>`; its wildcard is
# `round` in the rules of the first one.
if ROUNDS:

    use rule encode as encode_round with:
        input:
            pool=f"{RUN}/training_pool.parquet",
            model=lambda w: encoder(w.system),
        output:
            f"{RUN}/rounds/{{system}}/vectors.parquet",
        log:
            f"{RUN}/logs/rounds/{{system}}/encode.log",
        benchmark:
            f"{RUN}/logs/rounds/{{system}}/encode.tsv"

    rule candidates_round:
        input:
            queries=f"{RUN}/queries.parquet",
            pool=f"{RUN}/training_pool.parquet",
            model=lambda w: encoder(w.system),
            vectors=f"{RUN}/rounds/{{system}}/vectors.parquet",
            code=code("retrieve", "ranking", "search", "vectors"),
        output:
            f"{RUN}/rounds/{{system}}/candidates.parquet",
        log:
            f"{RUN}/logs/rounds/{{system}}/candidates.log",
        benchmark:
            f"{RUN}/logs/rounds/{{system}}/candidates.tsv"
        priority: 50
        conda:
            "../../envs/bm25.yaml"
        threads: CARD_THREADS
        resources:
            mem_mb=growing(16000),
            runtime=growing(240),
            gpu=1,
        params:
            flags=lambda w: flags(
                retriever="dense",
                range=config["candidates"]["range"],
                depth=config["candidates"]["k"],
                **encoder_settings(w.system),
                **texts(w.system, "query"),
            ),
        shell:
            "python -m ruie.retrieve --queries {input.queries} --pool {input.pool}"
            " --model {input.model} --vectors {input.vectors} {params.flags} --out {output}"
            " > {log} 2>&1"
