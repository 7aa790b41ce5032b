"""Evaluation: a plan and facts in, a decision out. The same input gives the same output, to the byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import msgspec

from personakit_sdk.errors import InvalidInput
from personakit_sdk.rules import suggestion_id
from personakit_sdk.rules.explain import Explanation, Fate, explain_named, explain_rule
from personakit_sdk.rules.facts import Facts
from personakit_sdk.rules.outcome import Reason, Reasons
from personakit_sdk.rules.paths import MISSING
from personakit_sdk.rules.plan import Candidate, Plan, Priority, standing
from personakit_sdk.rules.reading import Reading
from personakit_sdk.rules.template import text_of

_RANK: Final = attrgetter("rank")
_RULE_ID: Final = attrgetter("rule.id")
NOTHING_LEARNED: Final[Mapping[str, float]] = MappingProxyType({})
Reorder = Callable[[list[Candidate]], list[Candidate]]
"""Puts what fired, the best first, into another order, before it is cut."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a fired rule proposes.

    `score` is `weight` (the author's) times `learned` (from feedback). `because` are the checks it rests
    on. `parameters` keep their types; `metadata` is the template's own. `exposure` is of a service that
    explores: by which chance it stands where it does, sealed; feedback brings it back.
    """

    id: str
    rule_id: str
    type: str
    title: str
    description: str
    priority: Priority
    weight: float
    learned: float
    score: float
    parameters: dict[str, Any]
    because: list[Reason]
    metadata: dict[str, Any] = {}
    exposure: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`suggestions` are those made, best first; `fired` the ids of all rules that fired, in the order in
    which their suggestions stood before the cut; `missing_traits` the required traits that are absent."""

    suggestions: list[Suggestion]
    fired: list[str]
    missing_traits: list[str]
    explanation: Explanation | None = None


class _Rendered(msgspec.Struct, frozen=True):
    """The texts and parameters of a suggestion that is made."""

    title: str
    description: str
    parameters: dict[str, Any]


def evaluate(
    plan: Plan,
    facts: Facts,
    *,
    persona_id: str,
    mapper_version: int,
    limit: int,
    learned: Mapping[str, float] = NOTHING_LEARNED,
    explain: bool = False,
    reorder: Reorder | None = None,
) -> Decision:
    """At most `limit` suggestions for a persona at `facts.at`.

    `learned` multiplies the weights, by rule id; 1 where a rule is not named. `reorder` is for a service that
    explores: it may give the same candidates in another order. Raises InvalidInput when
    `facts.at` has no offset.
    """
    return evaluate_until(
        plan,
        facts,
        persona_id=persona_id,
        mapper_version=mapper_version,
        limit=limit,
        learned=learned,
        explain=explain,
        reorder=reorder,
    )[0]


def explanation_of(decision: Decision) -> Explanation:
    """The explanation of a decision that was to be explained. Raises LookupError where it was not."""
    if decision.explanation is None:
        raise LookupError("An evaluation that was to be explained was not.")
    return decision.explanation


def evaluate_until(
    plan: Plan,
    facts: Facts,
    *,
    persona_id: str,
    mapper_version: int,
    limit: int,
    learned: Mapping[str, float] = NOTHING_LEARNED,
    explain: bool = False,
    reorder: Reorder | None = None,
) -> tuple[Decision, datetime]:
    """As `evaluate`, and the instant up to which the same facts give the same decision, but for the ids of
    the suggestions, which name the instant that they were made for."""
    if facts.at.utcoffset() is None:
        raise InvalidInput(
            f"The instant {facts.at.isoformat()} has no offset; give one, such as Z or +01:00."
        )
    reading = Reading(plan.slots, facts)
    ranked = _ranked(plan, reading, learned)
    if reorder is not None:
        ranked = reorder(ranked)
    kept = ranked[: max(0, limit)]
    rendered = [_render(candidate, reading) for candidate in kept]
    places = [(candidate.rule.id, rank) for rank, candidate in enumerate(kept, start=1)]
    ids = suggestion_id.encode_all(persona_id, plan.mapper_id, mapper_version, places, facts.at)
    suggestions = [
        _suggestion(candidate, texts, reading, identifier)
        for candidate, texts, identifier in zip(kept, rendered, ids, strict=True)
        if isinstance(texts, _Rendered)
    ]
    decision = Decision(
        suggestions=suggestions,
        fired=list(dict.fromkeys(map(_RULE_ID, ranked))),
        missing_traits=[path for path, slot in plan.required if reading.values[slot] is MISSING],
        explanation=_explanation(plan, reading, learned, ranked, rendered) if explain else None,
    )
    return decision, reading.until


def _ranked(plan: Plan, reading: Reading, learned: Mapping[str, float]) -> list[Candidate]:
    """The suggestions of all rules that fire, the best first."""
    made = [each for number in _holding(plan, reading) for each in plan.candidates[number]]
    if not learned:
        return sorted(made, key=_RANK)
    return sorted(_weighed(made, learned), key=standing)


def _holding(plan: Plan, reading: Reading) -> list[int]:
    """The numbers of the rules that are enabled and whose conditions hold, in the author's order."""
    if plan.prefilter is not None:
        return plan.prefilter.holding(reading)
    return [n for n, rule in enumerate(plan.rules) if rule.enabled and rule.check.holds(reading)]


def _weighed(made: Iterable[Candidate], learned: Mapping[str, float]) -> Iterator[Candidate]:
    """The candidates with what was learned of their rules; none whose score is not above 0."""
    for each in made:
        multiplier = learned.get(each.rule.id, 1.0)
        if multiplier == 1:
            yield each
        elif each.score * multiplier > 0:
            yield msgspec.structs.replace(each, learned=multiplier, score=each.score * multiplier)


def _render(candidate: Candidate, reading: Reading) -> _Rendered | str:
    """The texts with their values put in; or, where a value is missing, the sentence that says so."""
    planned = candidate.planned
    values = {name: parameter(reading) for name, parameter in planned.parameters}
    for name, value in values.items():
        if value is MISSING:
            return f"The parameter {name!r} has no value and no default."
    texts: dict[str, str] = {}
    for name in planned.named:
        text = text_of(values[name])
        if text is None:
            return f"The parameter {name!r} has a value that cannot stand in a text."
        texts[name] = text
    return _Rendered(planned.title.render(texts), planned.description.render(texts), values)


def _suggestion(candidate: Candidate, texts: _Rendered, reading: Reading, identifier: str) -> Suggestion:
    reasons = Reasons()
    candidate.rule.check.give_reasons(reading, True, reasons)
    return Suggestion(
        id=identifier,
        rule_id=candidate.rule.id,
        type=candidate.planned.type,
        title=texts.title,
        description=texts.description,
        priority=candidate.planned.priority,
        weight=candidate.rule.weight,
        learned=candidate.learned,
        score=candidate.score,
        parameters=texts.parameters,
        because=reasons.found,
        metadata=candidate.planned.metadata,
    )


def _explanation(
    plan: Plan,
    reading: Reading,
    learned: Mapping[str, float],
    ranked: list[Candidate],
    rendered: list[_Rendered | str],
) -> Explanation:
    fates: dict[str, list[Fate]] = {}
    for rank, candidate in enumerate(ranked, start=1):
        fates.setdefault(candidate.rule.id, []).append(_fate(candidate, rank, rendered))
    return Explanation(
        rules=[
            explain_rule(rule, learned.get(rule.id, 1.0), reading, fates.get(rule.id, []))
            for rule in plan.rules
        ],
        conditions=explain_named(plan, reading),
    )


def _fate(candidate: Candidate, rank: int, rendered: list[_Rendered | str]) -> Fate:
    if rank > len(rendered):
        detail = f"It came {rank}. and the limit was {len(rendered)}."
        return Fate(type=candidate.planned.type, rank=rank, fate="cut", detail=detail)
    outcome = rendered[rank - 1]
    if isinstance(outcome, str):
        return Fate(type=candidate.planned.type, rank=rank, fate="dropped", detail=outcome)
    return Fate(type=candidate.planned.type, rank=rank, fate="made", detail=f"It came {rank}.")
