"""Evaluation: what feedback on explored suggestions says of another version of their mapper.

A vote tells something of the other version where that one would have filled the same place of the same answer
with a rule that had a chance to stand there. For each vote the persona is brought back as it was, both
versions are asked, and what cannot be compared is left out and counted. Whether it can depends on what fired
and never on what was drawn, so that leaving it out favours nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from personakit.agents.backtest import Report
from personakit.agents.past import Past, PastPersona
from personakit.domain.adjusted import Adjusted
from personakit.domain.exploration import NOTHING_BELIEVED, Believed
from personakit.domain.learning import votes_of
from personakit.domain.off_policy import Row
from personakit.eventlog.codec import SealBroken
from personakit.eventlog.everybody import Known
from personakit.eventlog.person_keys import PersonErased
from personakit_sdk.rules import Facts, Plan, evaluate, suggestion_id
from personakit_sdk.rules.learned import combined

MOST = 10_000
"""More suggestions than any mapper makes: nothing is cut, for what was shown was cut already."""

Vote = Mapping[str, Any]
"""A row of the read model `feedback`, with a propensity."""
Left = Literal["changed", "beyond", "empty", "unreadable"]


class Version(NamedTuple):
    """The version that is evaluated: its rules, and what is learned of them for all, and believed."""

    plan: Plan
    learned: Mapping[str, float] = {}
    beliefs: Mapping[str, Believed] = {}


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many votes say nothing of the version, and why.

    `changed`: not all rules that could have stood there fire on the facts that can be brought back, as where
    the context was another one. `beyond`: the version has a rule there that could not have stood there.
    `empty`: it has none there. `unreadable`: the persona's events cannot be read, or are gone.
    """

    changed: int = 0
    beyond: int = 0
    empty: int = 0
    unreadable: int = 0


class Evaluator:
    """Brings back the answers that votes are about, and holds a version against them."""

    def __init__(
        self,
        past: Past,
        tenant: str,
        plans: Mapping[int, Plan],
        version: Version,
        context: Mapping[str, Any],
    ) -> None:
        """`plans` are the versions of the mapper that the answers were made by; `context` is what every
        answer is thought to have been asked with, for the log keeps none."""
        self._past = past
        self._tenant = tenant
        self._plans = plans
        self._version = version
        self._context = context

    def compare(
        self, votes: Iterable[Vote], people: Iterable[Known], report: Report = lambda *_: None
    ) -> tuple[list[Row], LeftOut]:
        """What can be held against the version, and how much cannot; votes come in the order of persona and
        instant."""
        of_person = {person: list(theirs) for person, theirs in groupby(votes, key=itemgetter("person"))}
        names = {known.surrogate: known.id for known in people if known.surrogate in of_person}
        rows: list[Row] = []
        left: Counter[str] = Counter()
        for number, (person, theirs) in enumerate(of_person.items(), start=1):
            compared = self._of_persona(person, names.get(person), theirs)
            rows += [each for each in compared if isinstance(each, Row)]
            left.update(each for each in compared if isinstance(each, str))
            report("bringing back answers", number, len(of_person))
        return rows, LeftOut(**left)

    def _of_persona(self, person: UUID, name: str | None, votes: list[Vote]) -> list[Row | Left]:
        if name is None:
            return ["unreadable"] * len(votes)
        at_instant = {at: list(theirs) for at, theirs in groupby(votes, key=itemgetter("suggested_at"))}
        own = not name.startswith("~")
        compared: list[Row | Left] = []
        try:
            for at, state in self._past.persona_at(self._tenant, person, list(at_instant), own=own):
                facts = Facts(traits=state.facts() if state else {}, context=self._context, at=at)
                wanted = self._wanted(name, facts, state)
                compared += self._of_instant(person, name, facts, at_instant[at], wanted)
        except (PersonErased, SealBroken):
            return ["unreadable"] * len(votes)
        return compared

    def _of_instant(
        self, person: UUID, name: str, facts: Facts, votes: list[Vote], wanted: Mapping[int, str]
    ) -> Iterator[Row | Left]:
        """`wanted` is the rule that the version has at each place."""
        versions = {vote["mapper_version"] for vote in votes}
        fired = {version: self._fired(self._plans[version], name, facts) for version in versions}
        for vote in votes:
            version, rule = vote["mapper_version"], wanted.get(vote["rank"])
            if not fired[version].issuperset(vote["among"]):
                yield "changed"
            elif rule is None:
                yield "empty"
            elif rule not in vote["among"]:
                yield "beyond"
            else:
                yield self._row((person, version, facts.at), vote, rule)

    def _wanted(self, name: str, facts: Facts, state: PastPersona | None) -> dict[int, str]:
        """The rule that the version has at each place, with what was learned for the persona by then."""
        plan, nothing = self._version.plan, Adjusted()
        own = nothing if state is None else state.weights.get(plan.mapper_id, nothing)
        settings = plan.document["feedback_settings"]
        learned = combined(self._version.learned, own.learned.multipliers, settings)
        made = evaluate(plan, facts, persona_id=name, mapper_version=1, limit=MOST, learned=learned)
        return {suggestion_id.decode(each.id).rank: each.rule_id for each in made.suggestions}

    def _fired(self, plan: Plan, name: str, facts: Facts) -> frozenset[str]:
        return frozenset(evaluate(plan, facts, persona_id=name, mapper_version=1, limit=0).fired)

    def _row(self, answer: tuple[UUID, int, datetime], vote: Vote, rule: str) -> Row:
        believed, expected = (
            self._version.beliefs.get(each, NOTHING_BELIEVED).rate for each in (vote["rule_id"], rule)
        )
        matched = vote["rule_id"] == rule
        return Row(answer, _reward(vote), vote["propensity"], matched, believed, expected)


def _reward(vote: Vote) -> float:
    """The part of a vote that is good, whatever it weighs: it is held against others on the same place."""
    good, bad = votes_of(**{key: vote[key] for key in ("helpful", "rating", "outcome", "rank")})
    return good / (good + bad) if good else 0.0
