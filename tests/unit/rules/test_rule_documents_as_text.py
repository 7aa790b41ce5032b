"""YAML and JSON as text: what is read, and what is refused with line and column."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules.limits import Limits
from personakit_sdk.rules.yaml import YamlUnavailable, find_mark, load_json, load_yaml, load_yaml_marked


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-02", "2026-03-02"),
        ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"),
        ("2026-03-02 09:00:00", "2026-03-02 09:00:00"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("True", True),
        ("~", None),
        ("''", ""),
        ("012", 12),
        ("0o12", 10),
        ("0x1F", 31),
        ("-5", -5),
        ("+.5", 0.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("'5'", "5"),
        ('"a\\nb"', "a\nb"),
        ("1.2.0", "1.2.0"),
        ("=", "="),
        ("{1: a, true: b, null: c}", {"1": "a", "true": "b", "null": "c"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("%YAML 1.1\n---\nyes", "yes"),
        ("--- |\n  text\n", "text\n"),
        ("# only\na: 1 # a remark", {"a": 1}),
    ],
)
def test_yaml_is_read_by_the_core_schema_of_1_2(text: str, value: Any) -> None:
    read = load_yaml(text)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", "line 2, column 1: the key 'a' stands twice"),
        ("{a: 1, 'a': 2}", "line 1, column 8: the key 'a' stands twice"),
        ("a: !!str 3", "line 1, column 4: the tag 'tag:yaml.org,2002:str' is not taken"),
        ("- !!python/object/apply:os.system ['true']", "the tag"),
        ("- ! a", "the tag '!' is not taken"),
        ("!!map {a: 1}", "the tag"),
        ("? [a]\n: 1", "line 1, column 3: a key must be a plain text"),
        ("a: *b", "line 1, column 4: the alias *b names nothing"),
        ("a: &a [*a]", "line 1, column 8: the alias *a names nothing"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document"),
        ("", "the document is empty"),
        ("# nothing", "the document is empty"),
        ("[a, , b]", "line 1"),
        ("a: [", "line 1, column 5: expected the node content"),
        ("\ta: 1", "line 1, column 1: found character '\\t'"),
        ("a: .inf", "inf is not a number that JSON has"),
        ("a: .NaN", "nan is not a number that JSON has"),
        ("a: " + "9" * 5000, "is not a number that JSON has"),
        ("a: " + "9" * 30, "must lie between -2^63 and 2^63 - 1"),
        ('a: "\\ud800"', "at /a: a text must not contain half of a surrogate pair"),
        ('a: "\\0"', "at /a: a text must not contain NUL"),
        ("a: \x07", "special characters are not allowed"),
        ("[" * 33 + "]" * 33, "nested more than 32 levels"),
    ],
)
def test_yaml_that_a_document_may_not_have_is_refused(text: str, says: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        load_yaml(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("[NaN]", "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("[1e999]", "at /0: inf is not a number"),
        ("[" + "9" * 5000 + "]", "is not a number"),
        ('["\\ud800"]', "half of a surrogate pair"),
        ('["\\u0000"]', "NUL"),
        ("[" * 33 + "]" * 33, "nested more than 32 levels"),
        ("[" * 200_000, "nested more than 32 levels"),
        ('{"a": }', "line 1, column 7: Expecting value"),
        ("", "line 1, column 1"),
        (b'["\xff"]', "byte 2 is not UTF-8"),
    ],
)
def test_json_that_a_document_may_not_have_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        load_json(text)
    assert says in str(refused.value)


MARKED = """\
# a mapper
metadata: {id: m, version: 1.0.0}
rules:
  - id: first
    weight: 11
  - &second
    id: "a/b"
    empty:
again: *second
"a/b~c": |
  text
"""


def test_every_value_of_a_yaml_text_has_its_line_and_column() -> None:
    value, marks = load_yaml_marked(MARKED)
    assert value == load_yaml(MARKED)
    assert marks == {
        "": (2, 1),
        "/metadata": (2, 11),
        "/metadata/id": (2, 16),
        "/metadata/version": (2, 28),
        "/rules": (4, 3),
        "/rules/0": (4, 5),
        "/rules/0/id": (4, 9),
        "/rules/0/weight": (5, 13),
        "/rules/1": (6, 5),
        "/rules/1/id": (7, 9),
        "/rules/1/empty": (8, 5),
        "/again": (9, 8),
        "/a~1b~0c": (10, 10),
    }


def test_what_the_text_has_not_is_at_the_nearest_value_around_it() -> None:
    _, marks = load_yaml_marked(MARKED)
    assert find_mark(marks, "/rules/0/conditions/all/0") == (4, 5)
    assert find_mark(marks, "/again/id") == (9, 8)
    assert find_mark(marks, "/nothing") == (2, 1)
    assert find_mark({}, "/nothing") is None


def test_a_text_that_is_marked_is_refused_with_line_and_column_for_every_fault() -> None:
    with pytest.raises(DocumentInvalid) as refused:
        load_yaml_marked("a: 1\nb: [.nan, 2, .inf]")
    assert [(fault.pointer, fault.message) for fault in refused.value.faults] == [
        ("/b/0", "line 2, column 5: nan is not a number that JSON has"),
        ("/b/2", "line 2, column 14: inf is not a number that JSON has"),
    ]
    with pytest.raises(DocumentInvalid, match="line 2, column 1: the key 'a' stands twice"):
        load_yaml_marked("a: 1\na: 2")


def test_a_larger_document_is_a_setting() -> None:
    text = "x" * 300_000
    assert load_yaml(text, Limits(document_bytes=400_000)) == text


def test_bytes_may_begin_with_a_byte_order_mark() -> None:
    assert load_yaml(b"\xef\xbb\xbfa: 1") == load_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc: -'\"{}#", max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(json_values)
def test_json_is_yaml_and_reads_the_same(value: Any) -> None:
    text = json.dumps(value)
    assert load_json(text) == value
    assert load_yaml(text) == load_yaml_marked(text)[0] == value


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("[]{}:-?&*!|>'\"%@`#, \n\tab01.", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = load_yaml(text)
    except DocumentInvalid:
        return  # refused, and not by any other error
    assert load_json(json.dumps(value)) == value


def test_without_ruamel_yaml_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> ModuleType:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", not_installed)
    with pytest.raises(YamlUnavailable, match=r"pip install personakit\[yaml\]"):
        load_yaml("a: 1")


def test_the_engine_is_imported_without_ruamel_yaml() -> None:
    code = "import personakit_sdk.rules, personakit_sdk.rules.yaml, sys; print('ruamel.yaml' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "False\n"
