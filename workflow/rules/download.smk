# Public datasets in their original form, and a list of those to be provided by hand. They go to
# datasets.originals, beside the processed release in datasets.root; workflow/studies/original.yaml
# reads them. No other rule depends on this one: data that is there is never fetched, and no folder of
# data is an output, which Snakemake would delete before the job.
rule download:
    log:
        f"{RUN}/logs/download.log",
    # the network is this machine's, not a cluster node's
    localrule: True
    conda:
        "../../envs/workflow.yaml"
    params:
        flags=flags(
            registry=config["datasets"]["registry"],
            root=config["datasets"]["originals"],
            names=config["datasets"]["include"] or None,
            table=f"{RUN}/downloads.parquet",
        ),
    shell:
        "python -m ruie.download {params.flags} 2>&1 | tee {log}"
