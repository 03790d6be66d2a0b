# What is left to do: `snakemake plan` prints jobs by rule, and GPU hours where jobs were timed.


def gpus_of_rules():
    """GPUs of one job, for each rule that uses any."""
    many = config["training"]["processes"]
    return [
        f"{rule.name}={many if rule.name.startswith('train_') else 1}"
        for rule in workflow.rules
        if "gpu" in rule.resources
    ]


# it has no output for Snakemake, so that it always runs; it writes <run>/jobs.json
rule plan:
    input:
        config=f"{RUN}/config.json",
    localrule: True
    params:
        snakefile=workflow.main_snakefile,
        gpus=lambda w: " ".join(gpus_of_rules()),
        counts=f"{RUN}/scores/{config['scoring']['llm']}/counts.parquet",
        run=RUN,
    shell:
        "python -m ruie.jobs --snakefile {params.snakefile:q} --config {input.config}"
        " --logs {params.run}/logs --counts {params.counts} --gpus {params.gpus}"
        " --out {params.run}/jobs.json"
