"""The page in a real browser: it works, asks for nothing, and fits a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Tab, opened
from report_inputs import make, write_reasons

VISIBLE = "[...document.querySelectorAll('{}')].filter(e => e.checkVisibility()).length"


@pytest.fixture
def tab(inputs: list[str], tmp_path: Path) -> Iterator[Tab]:
    make([*inputs, *write_reasons(tmp_path / "in")], tmp_path)
    with opened() as tab:
        tab.look(1280)
        tab.open(tmp_path / "report.html")
        yield tab


def visible(tab: Tab, selector: str) -> int:
    return int(tab.value(VISIBLE.format(selector)))


def choose(tab: Tab, name: str, value: str) -> None:
    tab.value(
        f"""(() => {{ const e = document.forms[0].elements[{name!r}]; e.value = {value!r};
        e.dispatchEvent(new Event("change", {{ bubbles: true }})); }})()"""
    )


def test_clicking_through_the_page(tab: Tab) -> None:
    # a fold
    assert visible(tab, ".answer td.text") == 0
    tab.click(".answer details summary")
    assert visible(tab, ".answer td.text") == 1
    # marks have a colour of their own, and a caption
    look = "getComputedStyle(document.querySelector('{}')).backgroundColor"
    assert tab.value(look.format("mark.missed")) != tab.value(look.format("body"))
    assert visible(tab, ".answer mark small") > 0
    inline = "getComputedStyle(document.querySelector('td mark small')).display"
    assert tab.value(inline) == "inline"
    # a link leads to its section
    tab.click("nav a[href='#provenance']")
    assert tab.value("location.hash") == "#provenance"
    top = tab.value("document.querySelector('#provenance').getBoundingClientRect().top")
    assert -1 <= top < 900
    # the filter: two answers by bm25 and one by none, all with something wrong or missed
    assert visible(tab, "form") == 1
    assert visible(tab, ".answer") == 3
    assert tab.value("document.querySelector('output').textContent") == "3 answers"
    choose(tab, "system", "none")
    assert visible(tab, ".answer") == 1
    choose(tab, "system", "")
    tab.click("input[name=wrong]")
    assert visible(tab, ".answer") == tab.value(
        "document.querySelectorAll('.answer[data-wrong]').length"
    )
    # nothing from outside, nothing to complain about
    asked = [e["params"]["request"]["url"] for e in tab.events
             if e["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert len(asked) == 1
    assert asked[0].startswith("file:")
    loud = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert [e for e in tab.events if e["method"] in loud] == []


def test_it_fits_a_narrow_window_in_both_schemes(tab: Tab) -> None:
    paper = set()
    for dark in (False, True):
        tab.look(400, dark=dark)
        tab.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        paper.add(tab.value("getComputedStyle(document.body).backgroundColor"))
        assert tab.picture().startswith(b"\x89PNG")
    assert len(paper) == 2


def test_it_runs_no_script_but_its_own(tab: Tab) -> None:
    tab.value(
        """(() => { const s = document.createElement("script"); s.textContent = "window.x = 1";
        document.body.append(s); })()"""
    )
    assert tab.value("window.x") is None
