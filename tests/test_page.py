"""Elements of a page: escaped, balanced, and nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

from report_inputs import BAD, Page, make

from ruie import page, style


def test_page_is_balanced_escaped_and_alone(inputs: list[str], tmp_path: Path) -> None:
    text = make(inputs, tmp_path)
    read = Page(text)
    assert read.names.count("script") == 1
    assert f"<script>{style.SCRIPT}</script>" in text
    assert "default-src &#x27;none&#x27;" in text
    assert read.text.count(BAD) >= 6  # title, training, data, text, answer, config
    assert read.links
    assert all(link.startswith("#") for link in read.links), "the page asks for something else"
    for link in read.links:
        assert link[1:] in read.ids, f"{link} leads nowhere"
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_elements_escape_text_and_attributes() -> None:
    assert page.tag("p", BAD, title=BAD, hidden=False, open=True) == (
        '<p title="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;y&quot;" open>'
        "&lt;script&gt;alert('x')&lt;/script&gt; &amp; \"y\"</p>"
    )
    assert page.tag("p", page.tag("b", "<")) == "<p><b>&lt;</b></p>"
