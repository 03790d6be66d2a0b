"""The supervised (SFT) baselines of Table 1: models that were fine-tuned to extract, asked without
demonstrations in the very format that they were trained on (docs/sft-baselines.md)."""
