"""A plan: a mapper document compiled once, to be evaluated many times."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from personakit_sdk.rules.checks import Check, compile_check
from personakit_sdk.rules.document import Document, read_mapper, reference_order
from personakit_sdk.rules.limits import DEFAULT_LIMITS, Limits
from personakit_sdk.rules.parameters import Parameter, compile_parameter
from personakit_sdk.rules.plain import ordered
from personakit_sdk.rules.prefilter import Prefilter
from personakit_sdk.rules.reading import Slots
from personakit_sdk.rules.rule import PRIORITIES, names_in
from personakit_sdk.rules.template import Template, parse_template

Priority = Literal["high", "medium", "low"]

FILTERED_FROM: Final = 64
"""Rules from which on a prefilter is worth its while; fewer are asked one by one, which takes as long."""


class PlannedSuggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a rule. `parameters` are sorted by name; `named` are those that a text uses, sorted."""

    type: str
    title: Template
    description: Template
    priority: Priority
    metadata: dict[str, Any]
    parameters: tuple[tuple[str, Parameter], ...]
    named: tuple[str, ...]


class PlannedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, ready to be decided."""

    id: str
    enabled: bool
    priority: int
    weight: float
    check: Check
    suggestions: tuple[PlannedSuggestion, ...]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A suggestion of a rule, should it fire: `score` is the author's weight times what was `learned`.
    `rank` is its place among all candidates of the plan, the best first, while nothing was learned."""

    rule: PlannedRule
    planned: PlannedSuggestion
    learned: float
    score: float
    rank: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled mapper.

    `document` is its normal form, `hash` the SHA-256 (hex) of that as JSON with sorted keys. `required`
    are the required traits with their slots; `trait_paths` all paths into traits that it may read.
    `candidates` are those of each rule, as long as nothing was learned; none for a weight of 0.
    `prefilter` is None where the rules are few.
    """

    mapper_id: str
    author_version: str
    document: Document
    hash: str
    rules: tuple[PlannedRule, ...]
    candidates: tuple[tuple[Candidate, ...], ...]
    named: dict[str, Check]
    required: tuple[tuple[str, int], ...]
    slots: Slots
    prefilter: Prefilter | None

    @property
    def required_traits(self) -> tuple[str, ...]:
        return tuple(path for path, _ in self.required)

    @property
    def trait_paths(self) -> tuple[str, ...]:
        return tuple(sorted(self.slots.traits))


def standing(candidate: Candidate) -> tuple[int, float, int]:
    """Sorts the best first; sorting is stable, so that the author's order decides between equals."""
    return -candidate.rule.priority, -candidate.score, PRIORITIES.index(candidate.planned.priority)


def compile_mapper(document: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> Plan:
    """The plan of a mapper document in any accepted form.

    Validation and compilation are one path: raises DocumentInvalid, with every fault, for a document that
    would not run. Compiling a plan's own `document` gives an equal plan.
    """
    normal = read_mapper(document, limits)
    slots = Slots()
    named: dict[str, Check] = {}
    for name in reference_order(normal["conditions"]):
        named[name] = compile_check(normal["conditions"][name], slots, named)
    rules = tuple(_rule(rule, normal, slots, named) for rule in normal["rules"])
    return Plan(
        mapper_id=normal["metadata"]["id"],
        author_version=normal["metadata"]["version"],
        document=normal,
        hash=hashlib.sha256(msgspec.json.encode(normal, order="sorted")).hexdigest(),
        rules=rules,
        candidates=_candidates(rules),
        named=named,
        required=tuple((path, slots.trait(path)) for path in normal["required_traits"]),
        slots=slots,
        prefilter=_prefilter(rules, normal, slots, named) if len(rules) >= FILTERED_FROM else None,
    )


def _candidates(rules: Sequence[PlannedRule]) -> tuple[tuple[Candidate, ...], ...]:
    """The candidates of each rule, ranked among all of them."""
    made = [
        [
            Candidate(rule=rule, planned=each, learned=1.0, score=rule.weight, rank=0)
            for each in (rule.suggestions if rule.weight > 0 else ())
        ]
        for rule in rules
    ]
    ranked = sorted((each for of_rule in made for each in of_rule), key=standing)
    ranks = {id(each): rank for rank, each in enumerate(ranked)}
    return tuple(
        tuple(msgspec.structs.replace(each, rank=ranks[id(each)]) for each in of_rule) for of_rule in made
    )


def _prefilter(
    rules: Sequence[PlannedRule], normal: Document, slots: Slots, named: dict[str, Check]
) -> Prefilter:
    conditions = [
        (document["conditions"], rule.check.holds) if rule.enabled and rule.weight > 0 else None
        for rule, document in zip(rules, normal["rules"], strict=True)
    ]
    return Prefilter(conditions, slots, {name: check.holds for name, check in named.items()})


def _rule(rule: dict[str, Any], normal: Document, slots: Slots, named: dict[str, Check]) -> PlannedRule:
    actions = [action["generate_suggestion"] for action in rule["actions"]]
    return PlannedRule(
        id=rule["id"],
        enabled=rule["enabled"],
        priority=rule["priority"],
        weight=rule["weight"],
        check=compile_check(rule["conditions"], slots, named),
        suggestions=tuple(_suggestion(action, normal["templates"], slots) for action in actions),
    )


def _suggestion(action: dict[str, Any], templates: dict[str, Any], slots: Slots) -> PlannedSuggestion:
    texts = templates[action["template"]] if "template" in action else action
    parameters: dict[str, Any] = action["parameters"]
    return PlannedSuggestion(
        type=action["type"],
        title=parse_template(texts["title"]),
        description=parse_template(texts["description"]),
        priority=texts["priority"],
        metadata=ordered(texts["metadata"]),
        parameters=tuple((name, compile_parameter(parameters[name], slots)) for name in sorted(parameters)),
        named=tuple(sorted(names_in(texts))),
    )
