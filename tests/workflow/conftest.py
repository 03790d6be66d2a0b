"""One small run, made once for all tests that look at it or change what it was made from."""

from __future__ import annotations

import pytest
from tiny_project import Project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run. A test that changes a file puts it back."""
    made = Project(tmp_path_factory.mktemp("project"))
    made.snakemake()
    return made
