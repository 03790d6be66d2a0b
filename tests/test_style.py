"""The report's look comes with the page: nothing is fetched, and nothing ends its own element."""

from __future__ import annotations

import re

from ruie import style


def test_nothing_is_fetched() -> None:
    for text in (style.STYLE, style.SCRIPT):
        assert not re.search(r"https?:|//\w|@import|url\(|fetch\(|XMLHttpRequest|import\(", text)


def test_neither_ends_its_element() -> None:
    assert "</" not in style.STYLE + style.SCRIPT


def test_colours_that_are_used_are_defined_for_light_and_dark() -> None:
    light, dark = (
        set(re.findall(r"(--[\w-]+):", part)) for part in style.STYLE.split("@media")[:2]
    )
    used = set(re.findall(r"var\((--[\w-]+)\)", style.STYLE))
    assert used <= light
    assert light == dark
