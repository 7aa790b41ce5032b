"""Targets: documents of rules and of computed traits, templates, paths, operators, clocks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from personakit.api.trait_paths import is_path, is_pattern
from personakit.cli.mapper_import.command import ENGINES, convert
from personakit.cli.mapper_import.facts import FactNames
from personakit.domain.computed_trait_documents import read_document
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import Facts, TraitFact, compile_mapper, evaluate
from personakit_sdk.rules.clock import end_of_hour, find_zone, local
from personakit_sdk.rules.limits import DEFAULT_LIMITS
from personakit_sdk.rules.operators import OPERATORS
from personakit_sdk.rules.paths import parse_path
from personakit_sdk.rules.template import TEXT_BYTES, parse_template, text_of
from personakit_sdk.rules.transforms import TRANSFORMS
from personakit_sdk.rules.yaml import load_json, load_yaml, load_yaml_marked
from tests.fuzz.hostile import encoded, nested, objects, repeated, scalars, spoilt, texts, values
from tests.fuzz.target import target
from tests.unit.rules.mapper_cases import small_mapper
from tests.unit.rules.random_mappers import random_mapper

YAML_PIECES: Final = (
    *("- ", "? ", ": ", "a: ", "[", "]", "{", "}", ",", "&a ", "*a", "*a,", "!!python/object:os.system "),
    *("!t ", "|\n ", ">\n ", "'", '"', "\\", "#", "\n", "\t", " ", "---\n", "...\n", "%YAML 1.2\n"),
    *("0x" + "f" * 50, "0o777", "1e400", ".inf", ".nan", "2026-03-02", "~", "null", "\\ud800", "k: 1\n"),
    *("<<: *a\n", "- [1, 2, 3, {b: c}]\n", "- [" + "1," * 3_000 + "]\n", "- {id: r, conditions: "),
    *("metadata: {id: a, version: 1.0.0, description: d}\n", "rules:\n"),
)
TRAITS: Final[dict[str, Any]] = {
    "metadata": {"id": "told", "version": "1.0.0", "description": "d"},
    "observes": "work_session",
    "traits": [
        {
            "path": "work.focus",
            "from": "minutes",
            "aggregate": "quantiles",
            "options": {"quantiles": [0.5, 0.9], "half_life_days": 60, "min_samples": 3},
            "volatility": "low",
            "when": {"context_check": {"field": "minutes", "operator": "greater", "value": 5}},
        }
    ],
}
GROWTHBOOK: Final = {
    "features": {"f": {"defaultValue": True, "rules": [{"condition": {"a": {"$gt": 1}}, "force": 2}]}}
}
INSTANTS: Final = st.builds(
    lambda at, minutes: at.replace(tzinfo=timezone(timedelta(minutes=minutes))),
    st.datetimes() | st.sampled_from([datetime.min, datetime.max]),  # noqa: DTZ901 - a zone is given
    st.integers(-1439, 1439),
)


@target(repeated(YAML_PIECES), DocumentInvalid)
def a_text_of_yaml(text: str) -> None:
    """A mapper that is uploaded as YAML."""
    compile_mapper(load_yaml(text))


@target(repeated(YAML_PIECES), DocumentInvalid)
def a_file_of_yaml(text: str) -> None:
    """A mapper in a file, with the place of each fault."""
    load_yaml_marked(text)


@target(st.binary(max_size=300) | encoded(values), DocumentInvalid)
def a_text_of_json(text: bytes) -> None:
    """A mapper that is uploaded as JSON."""
    compile_mapper(load_json(text))


@target(spoilt(small_mapper()), DocumentInvalid)
def a_mapper(document: Any) -> None:
    """A mapper that is nearly right."""
    compile_mapper(document)


@target(
    st.tuples(st.integers(0, 10**6), st.dictionaries(texts, values, max_size=5), INSTANTS), DocumentInvalid
)
def facts(given: tuple[int, dict[str, Any], datetime]) -> None:
    """What rules look at, which is the caller's: context and traits of any kind, at any instant."""
    number, seen, at = given
    plan = compile_mapper(random_mapper(Random(number), 4))
    known = {path: TraitFact(value=value) for path, value in seen.items()}
    evaluate(
        plan,
        Facts(traits=known | {"a": TraitFact(value=seen)}, context=seen, at=at),
        persona_id="ada",
        mapper_version=1,
        limit=5,
        explain=True,
    )


@target(spoilt(TRAITS), DocumentInvalid)
def computed_traits(document: Any) -> None:
    """A document of computed traits that is nearly right."""
    read_document(document)


@target(st.tuples(st.sampled_from(sorted(ENGINES)), st.one_of(spoilt(GROWTHBOOK), values)), DocumentInvalid)
def rules_from_elsewhere(given: tuple[str, Any]) -> None:
    """Rules of another engine, to be imported."""
    engine, value = given
    convert(engine, load_json(_json(value)), FactNames(), "imported")


@target(repeated(("{", "}", "{{", "}}", "{x}", "{x!r}", "x", "\n")), ValueError)
def a_template(text: str) -> None:
    """A template of a mapper: parsed at any length, made a text of at the longest that a mapper may have."""
    parse_template(text)
    made = parse_template(text[: DEFAULT_LIMITS.template_bytes])
    assert len(made.render(dict.fromkeys(made.names, "v" * 500)).encode()) <= TEXT_BYTES


@target(repeated((".", "\\.", "\\", "*", "a", ".*", "0")))
def a_path(text: str) -> None:
    """The path of a trait in an address."""
    is_path(text)
    is_pattern(text)
    parse_path(text[:2_000])


@target(st.tuples(st.sampled_from(sorted(OPERATORS)), nested(scalars), nested(scalars), INSTANTS))
def an_operator(given: tuple[str, Any, Any, datetime]) -> None:
    """Any value compared with any other."""
    name, seen, wanted, at = given
    assert OPERATORS[name].holds(seen, wanted, at) in (True, False)


@target(
    st.tuples(texts | st.sampled_from(["Europe/Berlin", "America/St_Johns", "posixrules", ".."]), INSTANTS)
)
def a_zone(given: tuple[str, datetime]) -> None:
    """A time zone by its name, and an instant in it."""
    name, at = given
    zone = find_zone(name) or UTC
    end_of_hour(local(at, zone))


@target(st.tuples(st.sampled_from(sorted(TRANSFORMS)), values))
def a_transform(given: tuple[str, Any]) -> None:
    """What a parameter does to a value."""
    name, value = given
    text_of(TRANSFORMS[name](value))


@target(objects, DocumentInvalid)
def any_object(document: dict[str, Any]) -> None:
    """What is an object and nothing more."""
    for read in (compile_mapper, read_document):
        try:
            read(document)
        except DocumentInvalid:
            continue


def _json(value: Any) -> str:
    return json.dumps(value)
