"""The sample format against the paper's own samples (Table 12), and the prompt."""

from __future__ import annotations

from tiny import sample

from ruie import prompt

PARKINSONS = (
    "The Parkinsons are a punk rock band originally from Coimbra, Portugal, formed in the year "
    "2000 and based in London, known for their outrageous live performances."
)
FIRE = (
    "Washington: About 110 firefighters cut a containment line most of the way around an 850-acre "
    "forest fire in the Pasayten Wilderness near the Canadian border Tuesday."
)
GOOGLE = (
    "Google Project Zero's security researchers have discovered another critical remote code "
    "execution (RCE) vulnerability in Microsoft's Windows operating system, claiming that it is "
    "something truly bad."
)


def test_ner_sample_of_table_12() -> None:
    e = sample(
        "1", PARKINSONS, ("location", "Coimbra"), ("location", "Portugal"), ("location", "London"),
        schema=("location", "person", "organization"),
    )  # fmt: skip
    assert prompt.render(e) == (
        "Task: Named Entity Recognition\n"
        "Schema: [location, person, organization]\n"
        f"Input: {PARKINSONS}\n"
        "Output: location: Coimbra; location: Portugal; location: London."
    )


def test_re_sample_of_table_12() -> None:
    e = sample(
        "1", FIRE, ("Located in", "Pasayten Wilderness", "Washington"), task="RE",
        schema=("Organization based in", "Located in", "Live in", "Work for", "Kill"),
    )  # fmt: skip
    assert prompt.render(e) == (
        "Task: Relation Extraction\n"
        "Schema: [Organization based in, Located in, Live in, Work for, Kill]\n"
        f"Input: {FIRE}\n"
        "Output: Located in: Pasayten Wilderness, Washington."
    )


def test_ed_sample_of_table_12() -> None:
    e = sample(
        "1", GOOGLE, ("discover vulnerability", "have discovered"), task="EET",
        schema=("phishing", "data breach", "ransom", "discover vulnerability",
                "patch vulnerability"),
    )  # fmt: skip
    assert prompt.render(e) == (
        "Task: Event Detection\n"
        "Schema: [phishing, data breach, ransom, discover vulnerability, patch vulnerability]\n"
        f"Input: {GOOGLE}\n"
        "Output: discover vulnerability: have discovered."
    )


def test_eae_sample_of_table_12() -> None:
    schema = (
        "vulnerable system owner", "vulnerability", "capabilities", "time",
        "vulnerable system version", "discoverer", "common vulnerabilities and exposures",
        "supported platform", "vulnerable system",
    )  # fmt: skip
    e = sample(
        "1", GOOGLE, ("vulnerable system", "Windows operating system"),
        ("vulnerability", "remote code execution (RCE) vulnerability"),
        ("discoverer", "security researchers"), ("vulnerable system owner", "Microsoft"),
        ("discoverer", "Google Project Zero"),
        task="EEA", schema=schema, event=("discover vulnerability", "discovered"),
    )  # fmt: skip
    assert prompt.render(e) == (
        "Task: Event argument extraction\n"
        'Schema: Given event trigger: "discover vulnerability: discovered"; '
        "Candidate arguments: [vulnerable system owner, vulnerability, capabilities, time, "
        "vulnerable system version, discoverer, common vulnerabilities and exposures, supported "
        "platform, vulnerable system]\n"
        f"Input: {GOOGLE}\n"
        "Output: vulnerable system: Windows operating system; vulnerability: remote code execution "
        "(RCE) vulnerability; discoverer: security researchers; vulnerable system owner: "
        "Microsoft; discoverer: Google Project Zero."
    )


def test_nothing_found_is_none_as_the_instructions_say() -> None:
    assert prompt.answer(sample("1", "Nothing here.")) == "None"
    assert all('"None"' in text for text in prompt.INSTRUCTIONS.values())


def test_a_sample_stays_four_lines_and_offsets_stay() -> None:
    e = sample("1", "Ana\nLima left\u2028Faro", ("person", "Ana\nLima"))
    assert prompt.render(e).count("\n") == 3
    assert "Input: Ana Lima left Faro\nOutput: person: Ana Lima." in prompt.render(e)


def test_fields_order_and_keywords() -> None:
    e = sample("1", "Ana Lima left Faro", ("person", "Ana Lima"))
    assert prompt.render(e, ("output", "input"), keywords=True) == (
        "Output: person: Ana Lima.\nInput: <Keyword>Ana Lima</Keyword> left Faro"
    )


def test_best_demonstration_stands_next_to_the_query() -> None:
    assert prompt.build("I", ["second best", "best"], "Q") == "I\n\nsecond best\n\nbest\n\nQ"


def test_budget_drops_whole_demonstrations_the_least_relevant_first() -> None:
    def words(text: str) -> int:
        return len(text.split())

    # I + 2 + 3 + Q = 7 words; 5 allow the best (3 words) alone: 1 + 3 + 1 = 5
    demonstrations = ["low low", "best best best"]
    assert prompt.fit("I", demonstrations, "Q", words, 7) == (
        "I\n\nlow low\n\nbest best best\n\nQ", 2,
    )  # fmt: skip
    assert prompt.fit("I", demonstrations, "Q", words, 6) == ("I\n\nbest best best\n\nQ", 1)
    # instruction and query are never cut, even where they alone are too long
    assert prompt.fit("I", demonstrations, "Q", words, 1) == ("I\n\nQ", 0)
