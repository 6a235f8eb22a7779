"""JSON at the door: a key twice and NUL are refused, however they are written (RFC 8259)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles import codec

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | TEXTS | st.just("a:b"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
STYLES: list[dict[str, Any]] = [
    {}, {"ensure_ascii": False}, {"separators": (",", ":")}, {"separators": (" ,\n", "\t:\r\n")},
    {"indent": 1},
]  # fmt: skip


@given(st.dictionaries(TEXTS, VALUES, min_size=1), st.sampled_from(STYLES))
def test_a_key_twice_is_refused_in_every_style(
    value: dict[str, Any], style: dict[str, Any]
) -> None:
    """And what has none is read as it is."""
    text = json.dumps(value, **style)
    name = next(iter(value))
    again = text[: text.rindex("}")] + f", {json.dumps(name)} : 1}}"

    assert value == codec.decode_strict(text.encode())
    with pytest.raises(ValueError, match="key twice"):
        codec.decode_strict(again.encode())


@pytest.mark.parametrize(
    "text",
    [
        r'{"a":"\u003a","b":1,"b":2}',
        r'{"a":"\u003A","b":"\\u003a","b":2}',
        r'{"b":{"c":":"},"\u0062":"::"}',
        '{"a":[{"b":1,"b":1}]}',
    ],
)
def test_a_key_twice_hides_behind_no_escape(text: str) -> None:
    """An escaped colon makes up for the one that is lost with its key."""
    with pytest.raises(ValueError, match="key twice"):
        codec.decode_strict(text.encode())


@pytest.mark.parametrize("text", [r'{"a":"x\u0000"}', r'{"\u0000":1}', r'{"a":"\\\u0000"}'])
def test_nul_is_refused(text: str) -> None:
    """PostgreSQL holds none."""
    with pytest.raises(ValueError, match="NUL"):
        codec.decode_strict(text.encode())


def test_a_text_about_nul_is_a_text() -> None:
    """A backslash that is written twice begins no escape."""
    assert {"a": r"\u0000"} == codec.decode_strict(rb'{"a":"\\u0000"}')
