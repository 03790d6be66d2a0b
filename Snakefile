# RUIE as a workflow: each rule calls one stage of the package `ruie`; see README.md.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/config.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/validation.smk"
include: "workflow/rules/scoring.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/retrieval.smk"
include: "workflow/rules/beyond.smk"
include: "workflow/rules/learning.smk"
include: "workflow/rules/chain.smk"
include: "workflow/rules/inference.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/likelihood.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/plan.smk"


rule all:
    default_target: True
    input:
        tables(),
        comparisons(),
        f"{RUN}/report.html",


# Targets for a part of the work, by name.
rule scores:
    input:
        f"{RUN}/scores/{config['scoring']['llm']}.parquet",


rule retrievers:
    input:
        [
            f"{RUN}/retriever/{made_as(system)}/model"
            for system in config["evaluation"]["systems"]
            if is_trained(system)
        ],


rule evaluation:
    input:
        tables(),
        f"{RUN}/tables/usage.parquet",


onsuccess:
    shell(f"{shlex.quote(sys.executable)} -m ruie.engine --stop 2> /dev/null")


onerror:
    shell(f"{shlex.quote(sys.executable)} -m ruie.engine --stop 2> /dev/null")
