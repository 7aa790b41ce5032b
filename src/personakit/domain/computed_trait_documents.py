"""Computed-trait documents: checked against the language, and brought into definitions that can run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from personakit.domain.aggregates import AGGREGATES
from personakit.domain.aggregates.accumulator import Options
from personakit.domain.trait_cases import Case, read_case
from personakit.domain.traits import Precision
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules.checks import compile_condition
from personakit_sdk.rules.facts import Facts, Volatility
from personakit_sdk.rules.node import Node, take_list
from personakit_sdk.rules.paths import read_path, segments_of

WHAT: Final = "computed-trait document"
VOLATILITIES: Final = ("low", "medium", "high")
SHORTEST_HALF_LIFE: Final = 0.01
LONGEST_HALF_LIFE: Final = 36_500
MOST_SAMPLES: Final = 1_000_000
MOST_TRAITS: Final = 256
"""Of one document."""

_ID = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+][0-9A-Za-z.+-]+)?")
_TYPE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_PATH = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One computed trait. `segments` lead into an observation's content; none means the content itself.

    `document` is what the author wrote of it, for the fingerprint.
    """

    path: str
    observes: str
    source: str
    segments: tuple[str, ...]
    aggregate: str
    options: Options
    volatility: Volatility
    precision: Precision | None
    when: Callable[[Facts], bool] | None
    document: dict[str, Any]


class TraitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that can run: its definitions, and its own tests. `document` is what its author wrote.

    `hash` is over all of that, whatever the order of keys, and `version` the author's own.
    """

    id: str
    version: str
    hash: str
    definitions: tuple[Definition, ...]
    tests: tuple[Case, ...]
    document: dict[str, Any]


def read_document(document: Mapping[str, Any]) -> TraitDocument:
    """The document, checked whole. Raises DocumentInvalid with every fault found."""
    place = Node.root(document, WHAT)
    fields = place.fields(("metadata", "observes", "traits", "tests"), ("metadata", "observes", "traits"))
    id_, version = _read_metadata(fields["metadata"]) if "metadata" in fields else ("", "")
    observes = _read_word(fields["observes"], _TYPE, "work_session") if "observes" in fields else ""
    traits = fields["traits"].items(at_least=1, at_most=MOST_TRAITS) if "traits" in fields else []
    source = f"computed:{id_}@{version}"
    definitions = [_read_definition(node, source, observes) for node in traits]
    _refuse_twice(traits, definitions)
    tests = take_list(fields, "tests", lambda node: [read_case(each, observes) for each in node.items()])
    place.refuse_faults(WHAT)
    return TraitDocument(
        id=id_,
        version=version,
        hash=hashlib.sha256(msgspec.json.encode(place.value, order="sorted")).hexdigest(),
        definitions=tuple(definition for definition in definitions if definition is not None),
        tests=tuple(tests),
        document=place.value,
    )


def _refuse_twice(traits: Sequence[Node], definitions: Sequence[Definition | None]) -> None:
    seen: set[str] = set()
    for node, definition in zip(traits, definitions, strict=True):
        if definition is None:
            continue
        if definition.path in seen:
            message = f"the trait {definition.path!r} is defined already, in this document"
            node.child("path", definition.path).fault(message)
        seen.add(definition.path)


def _read_metadata(node: Node) -> tuple[str, str]:
    """The id and the version; metadata may bear other keys."""
    fields = node.entries()
    for key in ("id", "version", "description"):
        if key not in fields:
            node.fault(f"the key {key!r} is missing")
        else:
            fields[key].text()
    id_ = _read_word(fields["id"], _ID, "work_session") if "id" in fields else ""
    return id_, _read_word(fields["version"], _VERSION, "1.0.0") if "version" in fields else ""


def _read_word(node: Node, pattern: re.Pattern[str], example: str) -> str:
    if not isinstance(node.value, str) or not pattern.fullmatch(node.value):
        node.fault(f"it must be a text like {example!r}")
        return ""
    return node.value


def _read_definition(node: Node, source: str, observes: str) -> Definition | None:
    """None where a key that it cannot do without is missing or wrong."""
    known = ("path", "from", "aggregate", "options", "volatility", "precision", "when")
    fields = node.fields(known, ("path", "aggregate", "volatility"))
    aggregate = _read_aggregate(fields["aggregate"]) if "aggregate" in fields else ""
    if aggregate and AGGREGATES[aggregate].reads and "from" not in fields:
        node.fault(f"the aggregate {aggregate!r} needs `from`: the path of its value in the content")
    options = _read_options(fields.get("options", node.child("options", {})), aggregate)
    precision = _read_precision(fields["precision"]) if "precision" in fields else None
    segments = segments_of(read_path(fields["from"])) if "from" in fields else ()
    when = _read_when(fields["when"]) if "when" in fields else None
    path = _read_path(fields["path"]) if "path" in fields else ""
    volatility = fields["volatility"].choice("the volatility", VOLATILITIES) if "volatility" in fields else ""
    if not (aggregate and path and volatility in VOLATILITIES):
        return None
    return Definition(
        path=path,
        observes=observes,
        source=source,
        segments=segments,
        aggregate=aggregate,
        options=options,
        volatility=cast("Volatility", volatility),
        precision=precision,
        when=when,
        document=node.value,
    )


def _read_path(node: Node) -> str:
    path = _read_word(node, _PATH, "work.focus_duration")
    return read_path(node) if path else ""


def _read_aggregate(node: Node) -> str:
    name = node.choice("the aggregate", AGGREGATES)
    return name if name in AGGREGATES else ""


def _read_options(node: Node, aggregate: str) -> Options:
    requires = AGGREGATES[aggregate].requires if aggregate else ()
    known = {"half_life_days", "min_samples", *requires}
    if not aggregate:  # then it is not known which options there are
        known.add("quantiles")
    fields = node.fields(sorted(known), requires)
    half_life = fields.get("half_life_days")
    least = fields.get("min_samples")
    quantiles = fields.get("quantiles")
    return Options(
        half_life_days=half_life.number(SHORTEST_HALF_LIFE, LONGEST_HALF_LIFE) if half_life else None,
        min_samples=least.whole(1, MOST_SAMPLES) if least else 1,
        quantiles=_read_quantiles(quantiles) if quantiles else (),
    )


def _read_quantiles(node: Node) -> tuple[int, ...]:
    """Whole percents: 0.5 is 50, and is shown as `p50`."""
    percents = []
    for item in node.items(at_least=1, at_most=20):
        percent = round(100 * item.number(0.01, 0.99))
        if isinstance(item.value, float) and item.value != percent / 100:
            item.fault(f"{item.value} is not a whole percent")
        percents.append(percent)
    if len(set(percents)) != len(percents):
        node.fault("a quantile is named twice")
    return tuple(percents)


def _read_precision(node: Node) -> Precision:
    """A step above 0, or an object of steps."""
    if isinstance(node.value, dict):
        return {member: step.number(1e-9, 1e9) for member, step in node.entries().items()}
    return node.number(1e-9, 1e9)


def _read_when(node: Node) -> Callable[[Facts], bool] | None:
    try:
        return compile_condition(node.value, node.pointer)
    except DocumentInvalid as refused:
        node.faults.extend(refused.faults)
        return None
