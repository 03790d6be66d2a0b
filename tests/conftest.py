"""Fixtures that the tests share: a factory of examples and one example of named entities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from ruie.examples import Annotation, Event, Example, Span

# a busy machine must not fail a test
settings.register_profile("ruie", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ruie")

#: The fixtures ``data``, ``trained`` and ``inputs``.
pytest_plugins = ["trainings", "report_inputs"]
#: Real data and the paper, where the checkout has them beside it.
SHARED = Path(__file__).parents[1].parent / "shared"


def _example(
    text: str,
    *annotations: tuple[str | Span, ...],
    task: str = "NER",
    schema: tuple[str, ...] = ("person", "location"),
    event: tuple[str, str] | None = None,
    id: str = "demo/train/000000",
) -> Example:
    def span(s: str | Span) -> Span:
        return s if isinstance(s, Span) else Span(s, text.index(s), text.index(s) + len(s))

    dataset, split, number = id.split("/")
    return Example(
        id=id,
        task=task,
        dataset=dataset,
        split=split,
        text=text,
        schema=schema,
        annotations=tuple(
            Annotation(str(label), tuple(span(s) for s in spans)) for label, *spans in annotations
        ),
        event=event and Event(event[0], span(event[1])),
        source=f"{split}.json#{int(number)}",
    )


@pytest.fixture(scope="session")
def make_example() -> Callable[..., Example]:
    """``make_example(text, (label, span), ..., task=, schema=, event=(type, trigger), id=)``; a
    span that is a string stands at its first occurrence; an RE annotation is (label, head, tail).
    """
    return _example


@pytest.fixture(scope="session")
def ner(make_example: Callable[..., Example]) -> Example:
    """A person and a location in one sentence."""
    return make_example("Alice met Bob in Paris.", ("person", "Alice"), ("location", "Paris"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("no folder named shared beside the checkout: real data cannot be read")
    return SHARED
