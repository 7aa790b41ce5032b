"""Backtest: two versions of a mapper on the past, and where they would have said something else.

Each persona, people's own and those created, is folded once through all instants. What is known at an
instant is what the log says as of it: the events recorded by then, and confidences of that instant. Nobody is
mapped with a version that needed a consent which they had not given by then, or have not today.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import sqrt
from typing import Any, Final, Literal

import msgspec

from personakit.agents.past import Past, PastPersona
from personakit.domain.adjusted import Adjusted
from personakit.domain.consent import NEVER_SET, Policy
from personakit.eventlog.codec import SealBroken
from personakit.eventlog.everybody import Known
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import LogNotification
from personakit_sdk.mapping import withheld_of
from personakit_sdk.rules import Decision, Facts, Plan, evaluate
from personakit_sdk.rules.evaluate import NOTHING_LEARNED
from personakit_sdk.rules.learned import combined
from personakit_sdk.wire import ConsentPolicyName

EXAMPLES_KEPT: Final = 3
"""Of each kind of change of each rule."""
_GOLDEN: Final = (sqrt(5) - 1) / 2
_TODAY: Final = datetime.max.replace(tzinfo=UTC)
"""After all that was recorded."""

Kind = Literal["gained", "lost", "moved"]
Report = Callable[[str, int, int | None], None]
Consents = Sequence[tuple[ConsentPolicyName, Collection[str]]]
"""Policies on consent, each with what all people of a persona consented to under it: all of them count."""
Place = tuple[str, int]
"""A suggestion of a decision: its rule, and the how-many-th of that rule it is."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What both versions are asked: in which context, and for how many suggestions."""

    context: Mapping[str, Any] = {}
    limit: int = 5


class Example(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One mapping that would have differed. A rank counts from 1; null: it was not there."""

    kind: Kind
    rule_id: str
    persona_id: str
    at: datetime
    before: int | None
    after: int | None


class RuleChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How often a rule suggested something, before and after, and what changed in that."""

    rule_id: str
    before: int
    after: int
    gained: int
    lost: int
    moved: int


class Backtest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What would have changed. `mappings` were made with each version, `differing` are those whose
    suggestions differ; `withheld` had none with at least one version, for want of consent. Personas whose
    events cannot be read are left out, and counted in `unreadable`."""

    personas: int
    unreadable: int
    instants: list[datetime]
    mappings: int
    withheld: int
    differing: int
    rules: list[RuleChange]
    examples: list[Example]


def instants_between(since: datetime, until: datetime, count: int) -> list[datetime]:
    """`count` rising instants: one in each of so many equal spans, at another place in each (by the golden
    ratio) so that days do not all fall to the same hour; the last one is `until`."""
    span = (until - since) / count
    inner = [since + span * (index + (index + 1) * _GOLDEN % 1) for index in range(count - 1)]
    return [*inner, until]


class Backtester:
    """Maps people with both versions, and keeps what differs."""

    def __init__(
        self, before: Plan, after: Plan, question: Question, learned: Mapping[str, float] = NOTHING_LEARNED
    ) -> None:
        """`learned` is what both versions have learned of their rules, for all."""
        self._before, self._after = before, after
        self._learned = learned
        self._question = question
        self._tallies: dict[str, Counter[str]] = {}
        self._examples: list[Example] = []
        self._personas = self._unreadable = self._mappings = self._withheld = self._differing = 0
        self._policies: list[tuple[LogNotification, Policy]] = []
        self._instants: list[datetime] = []

    def run(
        self,
        past: Past,
        tenant: str,
        people: Iterable[Known],
        instants: Sequence[datetime],
        report: Report = lambda *_: None,
        total: int | None = None,
    ) -> Backtest:
        """Maps every one of `people` at each of the rising `instants`, from when they are known."""
        self._instants = list(instants)
        self._policies = past.policies(tenant)
        for number, person in enumerate(people, start=1):
            try:
                self._map(past, tenant, person)
            except PersonErased:
                pass
            except SealBroken:
                self._unreadable += 1
            report("mapping personas", number, total)
        return self.told()

    def _map(self, past: Past, tenant: str, person: Known) -> None:
        own = not person.id.startswith("~")
        asked = self._instants
        if own:
            since = past.known_since(tenant, person.surrogate)
            asked = [instant for instant in asked if since is not None and since <= instant]
        seen, facts, mapped = None, dict[str, Any](), False
        *states, (_, newest) = past.persona_at(tenant, person.surrogate, [*asked, _TODAY], own=own)
        today = self._consent(_TODAY, newest)
        for instant, state in states:
            if state is None:
                continue
            facts = facts if state is seen else {**state.facts()}
            seen, mapped = state, True
            weights = state.weights.get(self._before.mapper_id, Adjusted()).learned.multipliers
            at = Facts(traits=facts, context=self._question.context, at=instant)
            self.compare(person.id, at, weights, [self._consent(instant, state), today])
        self._personas += mapped

    def _consent(
        self, instant: datetime, state: PastPersona | None
    ) -> tuple[ConsentPolicyName, Collection[str]]:
        """The tenant's policy at an instant, and what all people of the persona had consented to."""
        until = [policy for row, policy in self._policies if row.recorded_at <= instant]
        policy = until[-1] if until else NEVER_SET
        return policy.policy, frozenset() if state is None else state.consented_to

    def compare(
        self,
        persona_id: str,
        facts: Facts,
        own: Mapping[str, float] = NOTHING_LEARNED,
        consents: Consents = (),
    ) -> None:
        """Maps once with each version; `own` is what was learned for this persona."""
        plans = (self._before, self._after)
        barred = [any(withheld_of(plan, *each) for each in consents) for plan in plans]
        before, after = (
            {} if withheld else self._places(plan, persona_id, facts, own)
            for plan, withheld in zip(plans, barred, strict=True)
        )
        self._mappings += 1
        self._withheld += any(barred)
        self._differing += before != after
        for place in {**before, **after}:
            tally = self._tallies.setdefault(place[0], Counter())
            tally.update(before=int(place in before), after=int(place in after))
            kind = _kind(before.get(place), after.get(place))
            if kind is not None:
                tally[kind] += 1
                if tally[kind] <= EXAMPLES_KEPT:
                    self._keep(kind, place, persona_id, facts.at, before, after)

    def _places(
        self, plan: Plan, persona_id: str, facts: Facts, own: Mapping[str, float]
    ) -> dict[Place, int]:
        decision = evaluate(
            plan,
            facts,
            persona_id=persona_id,
            mapper_version=1,
            limit=self._question.limit,
            learned=combined(self._learned, own, plan.document["feedback_settings"]),
        )
        return places(decision)

    def _keep(
        self,
        kind: Kind,
        place: Place,
        persona_id: str,
        at: datetime,
        before: Mapping[Place, int],
        after: Mapping[Place, int],
    ) -> None:
        example = Example(
            kind=kind,
            rule_id=place[0],
            persona_id=persona_id,
            at=at,
            before=before.get(place),
            after=after.get(place),
        )
        self._examples.append(example)

    def told(self) -> Backtest:
        """What was found so far."""
        authored = [rule.id for plan in (self._after, self._before) for rule in plan.rules]
        return Backtest(
            personas=self._personas,
            unreadable=self._unreadable,
            instants=self._instants,
            mappings=self._mappings,
            withheld=self._withheld,
            differing=self._differing,
            rules=[_change(rule, self._tallies.get(rule, Counter())) for rule in dict.fromkeys(authored)],
            examples=self._examples,
        )


def places(decision: Decision) -> dict[Place, int]:
    """The rank of each suggestion."""
    seen: Counter[str] = Counter()
    found: dict[Place, int] = {}
    for rank, suggestion in enumerate(decision.suggestions, start=1):
        seen[suggestion.rule_id] += 1
        found[suggestion.rule_id, seen[suggestion.rule_id]] = rank
    return found


def _kind(before: int | None, after: int | None) -> Kind | None:
    if before is None:
        return "gained"
    if after is None:
        return "lost"
    return "moved" if before != after else None


def _change(rule_id: str, tally: Counter[str]) -> RuleChange:
    names = ("before", "after", "gained", "lost", "moved")
    return RuleChange(rule_id=rule_id, **{name: tally[name] for name in names})
