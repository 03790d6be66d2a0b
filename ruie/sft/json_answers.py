"""Items of answers in JSON, which YAYI-UIE and the IEPile models give."""

from __future__ import annotations

from ruie.sft.reading import Reading, says_nothing
from ruie.sft.values import Fields, Unreadable, Value, find, shown

#: IEPile's word for what does not exist; an empty string claims nothing either.
NOTHING = ("", "NAN")
NOT_TEXT = "value that is no text"
NOT_ASKED = "not of the form asked for"


def whole(text: str, reading: Reading) -> Value:
    """The JSON of a text, None without any; what else the text says is a fault."""
    if says_nothing(text):
        reading.notes["nothing said"] += 1
        return None
    try:
        value, rest = find(text)
    except Unreadable as error:
        reading.fault(str(error), text)
        return None
    if rest:
        reading.fault("text around the JSON", rest)
    return value


def add_labelled(value: Value, reading: Reading) -> None:
    """Items of ``{label: span or spans}``."""
    if not isinstance(value, Fields):
        if value is not None and value != []:
            reading.fault(NOT_ASKED, shown(value))
        return
    for label, spans in value.pairs:
        for span in texts(label, spans, reading):
            reading.items.append((label, span))


def add_relation(label: str, head: Value, tail: Value, whole: Value, reading: Reading) -> None:
    """A relation; one without head and tail claims nothing."""
    if isinstance(head, str) and isinstance(tail, str):
        if head.strip() in NOTHING and tail.strip() in NOTHING:
            return
        reading.items.append((label, head, tail))
    else:
        reading.fault(NOT_TEXT, shown(whole))


def texts(label: str, value: Value, reading: Reading) -> list[str]:
    """The spans of a label: text, or a list of texts."""
    out = []
    for member in value if isinstance(value, list) else [value]:
        if isinstance(member, str):
            out += [member] if member.strip() not in NOTHING else []
        elif member is not None:
            reading.fault(NOT_TEXT, f"{label}: {shown(member)}")
    return out


def get(fields: Fields, key: str) -> Value:
    """The first value of a key, None without one."""
    return next((value for name, value in fields.pairs if name == key), None)
