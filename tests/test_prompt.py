"""The prompt, to the letter: Table 12's samples, Table 13's instructions, the budget."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruie import prompt
from ruie.examples import TASKS

PROJECT_ZERO = (
    "Google Project Zero's security researchers have discovered another critical remote code "
    "execution (RCE) vulnerability in Microsoft's Windows operating system, claiming that it is "
    "something truly bad."
)
#: Table 12: arguments of make_example and the four lines.
SAMPLES = {
    "NER": (
        (
            "The Parkinsons are a punk rock band originally from Coimbra, Portugal, formed in the "
            "year 2000 and based in London, known for their outrageous live performances.",
            ("location", "Coimbra"),
            ("location", "Portugal"),
            ("location", "London"),
        ),
        {"schema": ("location", "person", "organization")},
        "Task: Named Entity Recognition\n"
        "Schema: [location, person, organization]\n"
        "Input: The Parkinsons are a punk rock band originally from Coimbra, Portugal, formed in "
        "the year 2000 and based in London, known for their outrageous live performances.\n"
        "Output: location: Coimbra; location: Portugal; location: London.",
    ),
    "RE": (
        (
            "Washington: About 110 firefighters cut a containment line most of the way around an "
            "850-acre forest fire in the Pasayten Wilderness near the Canadian border Tuesday.",
            ("Located in", "Pasayten Wilderness", "Washington"),
        ),
        {"schema": ("Organization based in", "Located in", "Live in", "Work for", "Kill")},
        "Task: Relation Extraction\n"
        "Schema: [Organization based in, Located in, Live in, Work for, Kill]\n"
        "Input: Washington: About 110 firefighters cut a containment line most of the way around "
        "an 850-acre forest fire in the Pasayten Wilderness near the Canadian border Tuesday.\n"
        "Output: Located in: Pasayten Wilderness, Washington.",
    ),
    "EET": (
        (PROJECT_ZERO, ("discover vulnerability", "have discovered")),
        {
            "schema": (
                "phishing",
                "data breach",
                "ransom",
                "discover vulnerability",
                "patch vulnerability",
            )
        },
        "Task: Event Detection\n"
        "Schema: [phishing, data breach, ransom, discover vulnerability, patch vulnerability]\n"
        f"Input: {PROJECT_ZERO}\n"
        "Output: discover vulnerability: have discovered.",
    ),
    "EEA": (
        (
            PROJECT_ZERO,
            ("vulnerable system", "Windows operating system"),
            ("vulnerability", "remote code execution (RCE) vulnerability"),
            ("discoverer", "security researchers"),
            ("vulnerable system owner", "Microsoft"),
            ("discoverer", "Google Project Zero"),
        ),
        {
            "schema": (
                "vulnerable system owner",
                "vulnerability",
                "capabilities",
                "time",
                "vulnerable system version",
                "discoverer",
                "common vulnerabilities and exposures",
                "supported platform",
                "vulnerable system",
            ),
            "event": ("discover vulnerability", "discovered"),
        },
        "Task: Event argument extraction\n"
        'Schema: Given event trigger: "discover vulnerability: discovered"; Candidate arguments: '
        "[vulnerable system owner, vulnerability, capabilities, time, vulnerable system version, "
        "discoverer, common vulnerabilities and exposures, supported platform, vulnerable system]\n"
        f"Input: {PROJECT_ZERO}\n"
        "Output: vulnerable system: Windows operating system; vulnerability: remote code execution "
        "(RCE) vulnerability; discoverer: security researchers; vulnerable system owner: "
        "Microsoft; discoverer: Google Project Zero.",
    ),
}


@pytest.fixture(params=TASKS)
def sample(request, make_example):
    arguments, options, lines = SAMPLES[request.param]
    return make_example(*arguments, task=request.param, **options), lines


def paper(shared) -> str:
    """The paper's text with straight quotes, broken words and lines joined."""
    text = (shared / "paper" / "ruie.txt").read_text(encoding="utf-8")
    for curly, straight in {"“": '"', "”": '"', "’": "'"}.items():
        text = text.replace(curly, straight)
    return " ".join(re.sub(r"(?<=\w)-\n(?=\w)", "", text).split())


def test_sample_of_table_12(sample):
    example, lines = sample
    assert prompt.render(example).split("\n") == lines.split("\n")


def test_sample_is_the_papers_own_text(sample, shared):
    # the text has "vul-\nnerable" in one schema and "850-acre" in one line: both come out right
    assert " ".join(sample[1].split()) in paper(shared)


@pytest.mark.parametrize("task", TASKS)
def test_instruction_is_the_papers_own_text(task, shared):
    assert " ".join(prompt.INSTRUCTIONS[task].split()) in paper(shared)


@pytest.mark.parametrize("task", TASKS)
def test_instruction_is_one_lead_and_four_numbered_lines(task):
    lines = prompt.INSTRUCTIONS[task].split("\n")
    assert [line[:2] for line in lines[1:]] == ["1.", "2.", "3.", "4."]
    assert 'respond with "None".' in lines[3]
    assert all(line == line.strip() for line in lines)


def test_query_is_the_sample_up_to_the_answer(sample):
    example, lines = sample
    query = prompt.query(example)
    assert query.endswith("\nOutput:")
    assert query + " " + prompt.answer(example) == lines  # the space belongs to the answer
    assert query.count("\n") == 3


def test_nothing_found_is_none(make_example):
    e = make_example("Nobody came.")
    assert prompt.answer(e) == "None"
    assert prompt.render(e).endswith("\nOutput: None")


def test_answer_keeps_annotation_order_and_repetitions(make_example):
    e = make_example("B saw A.", ("person", "B"), ("person", "A"), ("person", "B"))
    assert prompt.answer(e) == "person: B; person: A; person: B."


def test_answer_of_a_span_with_separators_is_left_as_it_is(make_example):
    e = make_example("At Salt; Pepper: $5, no more.", ("place", "Salt; Pepper: $5, no more"))
    assert prompt.answer(e) == "place: Salt; Pepper: $5, no more."


def test_fields_in_the_order_asked_for(ner):
    assert prompt.render(ner, ("output", "task")) == (
        "Output: person: Alice; location: Paris.\nTask: Named Entity Recognition"
    )
    assert prompt.render(ner, ("input",)) == "Input: Alice met Bob in Paris."


def test_keywords_touch_the_input_field_only(make_example):
    e = make_example(
        "Bombs fell on Aden.", ("weapon", "Bombs"),
        task="EEA", schema=("weapon",), event=("attack", "fell"),
    )  # fmt: skip
    assert prompt.render(e, keywords=True).split("\n") == [
        "Task: Event argument extraction",
        'Schema: Given event trigger: "attack: fell"; Candidate arguments: [weapon]',
        "Input: <Keyword>Bombs</Keyword> <Keyword>fell</Keyword> on Aden.",
        "Output: weapon: Bombs.",
    ]


def test_quotes_stand_around_the_input_field_only(make_example):
    e = make_example(
        'He said "no" in Aden.', ("place", "Aden"),
        task="EEA", schema=("place",), event=("refusal", "said"),
    )  # fmt: skip
    assert prompt.render(e, quotes=True).split("\n") == [
        "Task: Event argument extraction",
        'Schema: Given event trigger: "refusal: said"; Candidate arguments: [place]',
        'Input: "He said "no" in Aden."',
        "Output: place: Aden.",
    ]
    tagged = 'Input: "He <Keyword>said</Keyword> "no" in <Keyword>Aden</Keyword>."'
    assert prompt.render(e, ("input",), keywords=True, quotes=True) == tagged
    assert prompt.query(e, keywords=True, quotes=True).split("\n")[2:] == [tagged, "Output:"]


@given(st.text(max_size=30), st.booleans(), st.booleans())
def test_text_is_read_back_whatever_stands_round_it(make_example, text, keywords, quotes):
    """One span, over the whole text where there is any."""
    e = make_example(text, *([("person", text)] if text else []))
    line = prompt.render(e, ("input",), keywords, quotes)
    for on, before, after in (
        (True, "Input: ", ""),
        (quotes, '"', '"'),
        (keywords and bool(text), "<Keyword>", "</Keyword>"),
    ):
        if on:
            assert line.startswith(before)
            assert line.endswith(after)
            line = line[len(before) : len(line) - len(after)]
    assert line == prompt.one_line(text)
    whole = prompt.render(e, keywords=keywords, quotes=quotes)
    assert prompt.query(e, keywords, quotes) + " " + prompt.answer(e) == whole


def test_line_breaks_do_not_break_the_four_lines(make_example):
    e = make_example(
        "The plant\r\nin New\nYork\u2028shut down.", ("place", "New\nYork"),
        task="EEA", schema=("place",), event=("closure", "shut down"),
    )  # fmt: skip
    assert prompt.render(e, keywords=True).split("\n")[2:] == [
        "Input: The plant  in <Keyword>New York</Keyword> <Keyword>shut down</Keyword>.",
        "Output: place: New York.",
    ]
    broken = make_example("It shut\ndown.", task="EEA", schema=("p",), event=("end", "shut\ndown"))
    assert 'trigger: "end: shut down";' in prompt.query(broken)


@given(st.text(st.sampled_from("ab \n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029é"), max_size=30))
def test_one_line_is_one_line_of_the_same_length(text):
    line = prompt.one_line(text)
    assert len(line) == len(text)
    assert len(line.splitlines()) <= 1
    assert all(a == b or b == " " for a, b in zip(text, line, strict=True))


@given(st.text(max_size=30))
def test_a_sample_is_four_lines_whatever_the_text(make_example, text):
    spans = [("person", text)] if text else []
    assert len(prompt.render(make_example(text, *spans)).splitlines()) == 4


def test_build_puts_blank_lines_between():
    assert prompt.build("Do.", ["worse", "best"], "ask") == "Do.\n\nworse\n\nbest\n\nask"
    assert prompt.build("Do.", [], "ask") == "Do.\n\nask"


def words(text):
    return len(text.split())


@pytest.mark.parametrize(
    ("budget", "kept"),
    # 1 (instruction) + 3 + 2 + 4 (demonstrations) + 2 (query) = 12 words
    [(12, 3), (11, 2), (9, 2), (8, 1), (7, 1), (6, 0), (3, 0)],
)
def test_fit_drops_the_least_relevant_first(budget, kept):
    demonstrations = ["a a a", "b b", "c c c c"]
    text, used = prompt.fit("do", demonstrations, "q q", words, budget)
    assert used == kept
    assert text == prompt.build("do", demonstrations[3 - kept :], "q q")
    assert demonstrations == ["a a a", "b b", "c c c c"]


def test_fit_never_cuts_instruction_and_query():
    assert prompt.fit("do this", ["a"], "q q q", words, 1) == ("do this\n\nq q q", 0)


@given(st.lists(st.text("ab ", max_size=12), max_size=6), st.integers(0, 40))
def test_fit_keeps_as_many_as_fit(demonstrations, budget):
    text, used = prompt.fit("do", demonstrations, "q", words, budget)
    assert words(text) <= budget or used == 0
    if used < len(demonstrations):  # one more would not have fitted
        more = demonstrations[len(demonstrations) - used - 1 :]
        assert words(prompt.build("do", more, "q")) > budget


def test_names_and_instructions_cover_the_tasks():
    assert set(prompt.TASK_NAMES) == set(prompt.INSTRUCTIONS) == set(TASKS)


def test_labels_stand_before_a_retrievers_text_and_in_no_prompt(ner, make_example):
    line = "Named Entity Recognition: person, location"
    assert prompt.render(ner, ["labels", "input"]) == f"{line}\nInput: {ner.text}"
    attack = make_example(
        "They\nattacked.", task="EEA", schema=("attacker", "a\nplace"), event=("Attack", "attacked")
    )
    assert prompt.labels(attack) == "Event argument extraction of Attack: attacker, a place"
    assert line not in prompt.render(ner) + prompt.query(ner)
