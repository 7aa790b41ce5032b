"""What people do about what was learned of a mapper's rules: they approve, freeze, thaw and roll back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

import msgspec

from personakit.domain.adjusted import Adjusted
from personakit.domain.adjustment import Beliefs, adjustment, changes, proposal, proposed
from personakit.domain.events import AdjustmentCause, RuleWeightsAdjusted
from personakit.domain.learning import Learned
from personakit.domain.mapper import MapperState, RuleUnknown
from personakit.domain.publishing import Provenance, require_match
from personakit_sdk.errors import Fault, PersonaKitError


class NotActive(PersonaKitError):
    """No version of the mapper is in use, so nothing is learned of it."""


class ProposalChanged(PersonaKitError):
    """What would be published is not what was approved."""

    def __init__(self, proposed: Mapping[str, float]) -> None:
        now = ", ".join(f"{rule} {multiplier:g}" for rule, multiplier in sorted(proposed.items()))
        super().__init__(
            f"What is proposed has changed since you saw it; it is now: {now or 'nothing'}. "
            "Approve that, or look again."
        )
        self.faults = tuple(
            Fault(f"/weights/{rule}", f"it is {multiplier!r} now")
            for rule, multiplier in sorted(proposed.items())
        )


def approve(
    state: MapperState,
    beliefs: Beliefs,
    today: date,
    by: Provenance,
    *,
    rules: Collection[str] | None = None,
    seen: Mapping[str, float] | None = None,
    if_match: Collection[str] | None = None,
) -> RuleWeightsAdjusted | None:
    """The event that publishes what is proposed, of `rules` (None: all); None where nothing is. `seen` are
    the multipliers that the caller approves. Raises RuleUnknown, NotActive, PreconditionFailed, and
    ProposalChanged where what is proposed is not what was seen."""
    _require(state, rules, if_match)
    moved = proposal(state, beliefs, today)
    all_ = proposed(state, moved)
    wanted = {rule: all_[rule] for rule in all_ if rules is None or rule in rules}
    if seen is not None and dict(seen) != wanted:
        if _stand(state, seen):
            return None  # approved before, by an answer that was lost
        raise ProposalChanged(wanted)
    if not wanted:
        return None
    multipliers = {**state.adjusted.learned.multipliers, **wanted}
    after = Adjusted(
        msgspec.structs.replace(moved.learned, multipliers=multipliers),
        state.adjusted.frozen,
        moved.settled and wanted == all_,
        beliefs.evidence(),
        beliefs.read_through,
    )
    return adjustment(state, after, "approved", by)


def freeze(
    state: MapperState,
    today: date,
    by: Provenance,
    *,
    rules: Collection[str] | None = None,
    if_match: Collection[str] | None = None,
) -> RuleWeightsAdjusted | None:
    """The event after which `rules` (None: all) stay as they are, whatever is said of them; None where they
    do already. Raises RuleUnknown, NotActive, PreconditionFailed."""
    _require(state, rules, if_match)
    chosen = _ids(state) if rules is None else set(rules)
    return _with_frozen(state, {*state.adjusted.frozen, *chosen}, today, by, "frozen")


def thaw(
    state: MapperState,
    today: date,
    by: Provenance,
    *,
    rules: Collection[str] | None = None,
    if_match: Collection[str] | None = None,
) -> RuleWeightsAdjusted | None:
    """The event after which `rules` (None: all) learn again; None where they do already. Raises RuleUnknown,
    NotActive, PreconditionFailed."""
    before = set(state.adjusted.frozen)
    _require(state, None if rules is None else set(rules) - before, if_match)
    return _with_frozen(state, set() if rules is None else before - set(rules), today, by, "thawed")


def roll_back(
    state: MapperState,
    version: int,
    then: Mapping[str, float],
    today: date,
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
) -> RuleWeightsAdjusted | None:
    """The event that brings the multipliers of a version back, `then`; None where they are there. The rules
    that it changes are frozen: they would learn the same again at once. Raises NotActive,
    PreconditionFailed."""
    _require(state, None, if_match)
    now = state.adjusted.learned
    multipliers = {rule: then.get(rule, 1.0) for rule in sorted({*now.multipliers, *then})}
    changed = changes(now.multipliers, multipliers)
    if not changed:
        return None
    day = today if now.day is None else max(today, now.day)
    after = msgspec.structs.replace(
        state.adjusted,
        learned=Learned(multipliers, day, multipliers),
        frozen=tuple(sorted({*state.adjusted.frozen, *changed})),
    )
    return adjustment(state, after, "rolled_back", by, version)


def _with_frozen(
    state: MapperState, frozen: Collection[str], today: date, by: Provenance, cause: AdjustmentCause
) -> RuleWeightsAdjusted | None:
    if set(frozen) == set(state.adjusted.frozen):
        return None
    learned = state.adjusted.learned
    after = msgspec.structs.replace(
        state.adjusted,
        learned=msgspec.structs.replace(learned, day=learned.day or today),
        frozen=tuple(sorted(frozen)),
    )
    return adjustment(state, after, cause, by)


def _require(state: MapperState, rules: Collection[str] | None, if_match: Collection[str] | None) -> None:
    """Raises NotActive for a mapper of which no version is active, PreconditionFailed, and RuleUnknown for
    rules that its document does not have."""
    mapper_id = state.shown.document["metadata"]["id"]
    if state.shown.status != "active":
        raise NotActive(
            f"No version of the mapper {mapper_id!r} is in use, so nothing is learned of it; publish one."
        )
    require_match(state.shown.hash, if_match, f"mapper {mapper_id!r}")
    for rule in sorted(set(rules or ()) - _ids(state)):
        raise RuleUnknown(f"The mapper {mapper_id!r} has no rule {rule!r} in the version that is shown.")


def _stand(state: MapperState, multipliers: Mapping[str, float]) -> bool:
    now = state.adjusted.learned.multipliers
    return all(now.get(rule, 1.0) == multiplier for rule, multiplier in multipliers.items())


def _ids(state: MapperState) -> set[str]:
    return {rule["id"] for rule in state.shown.document["rules"]}
