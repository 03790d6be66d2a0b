"""RUIE: retrieval-based unified information extraction (COLING 2025).

Each stage of the pipeline is a module that runs by hand as ``python -m ruie.<stage>``; the
workflow in ``Snakefile`` only chains them. Section, equation and table numbers in docstrings
refer to the paper.
"""

__version__ = "0.1.0"
