# What is left to do: `snakemake plan` prints jobs by rule, and GPU hours where jobs were timed.
# It has no output for Snakemake, so that it always runs; it writes <run>/jobs.json.
rule plan:
    input:
        config=f"{RUN}/config.json",
    log:
        f"{RUN}/logs/plan.log",
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        snakefile=workflow.main_snakefile,
        # of one job, for each rule that uses any
        gpus=lambda w: " ".join(
            f"{rule.name}={config['training']['processes'] if rule.name in TRAININGS else 1}"
            for rule in workflow.rules
            if "gpu" in rule.resources
        ),
        counts=f"{RUN}/scores/{config['scoring']['llm']}/counts.parquet",
        run=lambda w, input: Path(input.config).parent,
    shell:
        "python -m ruie.jobs --snakefile {params.snakefile:q} --config {input.config}"
        " --logs {params.run}/logs --counts {params.counts} --gpus {params.gpus}"
        " --out {params.run}/jobs.json 2>&1 | tee {log}"
