# How likely the gold answers are after what each system shows (docs/chain.md): `snakemake likelihoods`.
include: "helpers/likelihood.smk"


rule likelihood:
    input:
        demonstrations=to_show,
        queries=f"{RUN}/test/{{dataset}}.parquet",
        pool=f"{RUN}/pool.parquet",
        model=lambda w: model(w.llm),
    output:
        f"{RUN}/likelihood/{{system}}/{{llm}}/k{{k}}/{{dataset}}.parquet",
    log:
        f"{RUN}/logs/likelihood/{{system}}/{{llm}}/k{{k}}/{{dataset}}.log",
    benchmark:
        f"{RUN}/logs/likelihood/{{system}}/{{llm}}/k{{k}}/{{dataset}}.tsv"
    conda:
        "../../envs/infer.yaml"
    threads: CARD_THREADS
    resources:
        mem_mb=growing(32000),
        runtime=growing(240),
        gpu=1,
        # as in `score`: no reason to compute again
        batch_tokens=config["scoring"]["batch_tokens"],
        cache_mb=config["scoring"]["cache_mb"],
    params:
        flags=likelihood_flags,
    shell:
        "python -m ruie.likelihood --demonstrations {input.demonstrations}"
        " --queries {input.queries} --pool {input.pool} --model {input.model:q} {params.flags}"
        " --batch-tokens {resources.batch_tokens} --cache-mb {resources.cache_mb} --out {output}"
        " > {log} 2>&1"


rule likelihood_table:
    input:
        tables=lambda w: likelihood_files(SIDES[w.side]),
        code=code("likelihoods", "bootstrap"),
    output:
        f"{RUN}/tables/{{side}}_likelihood.parquet",
    log:
        f"{RUN}/logs/likelihood_table/{{side}}.log",
    wildcard_constraints:
        side="|".join(SIDES),
    conda:
        "../../envs/workflow.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        # by a function: its braces are for bash, no wildcards
        tables=lambda w: likelihood_paths(SIDES[w.side]),
        flags=lambda w: flags(
            systems=RETRIEVING,
            reference=REFERENCE,
            held_out=SIDES[w.side],
            resamples=config["evaluation"]["resamples"],
            seed=config["seed"],
        ),
    shell:
        "python -m ruie.likelihoods --tables {params.tables} {params.flags} --out {output}"
        " > {log} 2>&1"


rule likelihoods:
    input:
        likelihood_tables,
