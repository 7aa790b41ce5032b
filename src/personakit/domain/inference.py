"""The anthropic derivation, as far as it is pure: what a model is told of a person, what it may answer, and
what becomes of that.

All that anybody wrote is told as data, between marks that cannot stand in it. What the model answers is
believed no further than that: it may set traits of this person that nobody else owns, on the evidence of the
observations that it was shown, and nothing else. The rest is dropped, and counted by reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from personakit.domain.computed_traits import is_computed
from personakit.domain.curation import pinned_value
from personakit.domain.events import DerivationCompleted, MindscapeUpdated, ModelUse
from personakit.domain.inference_prompt import LEAST_BELIEVED, MOST_BELIEVED, MOST_TRAITS
from personakit.domain.mindscape import Mindscape, material_paths
from personakit.domain.model_output import MalformedAnswer, as_json, storable
from personakit.domain.traits import EVIDENCE_KEPT, Trait
from personakit_sdk.rules.facts import CREDIBILITY_K, Volatility

DERIVATION: Final = "anthropic"
AGENT: Final = "anthropic"
MOST_TOLD: Final = 200
LONGEST_PATH, LONGEST_VALUE, LONGEST_REASON, LONGEST_TOLD = 128, 1_000, 300, 200
HALF_LIVES: Final[Mapping[Volatility, float]] = {"low": 365.0, "medium": 90.0, "high": 14.0}
"""In days, after which a trait that nothing confirmed is believed by half."""

_PATH: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,7}")


class Text(msgspec.Struct, frozen=True):
    """An observation as a model is shown it."""

    id: UUID
    type: str
    content: dict[str, Any]
    occurred_at: datetime


class Proposal(msgspec.Struct, frozen=True):
    """A trait that a model would set."""

    path: str
    value: Any
    confidence: float
    volatility: Volatility
    evidence: tuple[str, ...]
    reason: str


class Proposed(msgspec.Struct, frozen=True):
    """What a model proposed; `malformed` counts those that were no proposals at all."""

    proposals: tuple[Proposal, ...]
    malformed: int


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, with what it took and what it was asked with. `definition` fingerprints model and prompt."""

    proposed: Proposed
    use: ModelUse
    definition: str
    read_through: int


class _Answer(msgspec.Struct, frozen=True):
    traits: list[msgspec.Raw]


_answer = msgspec.json.Decoder(_Answer)
_proposal = msgspec.json.Decoder(Proposal)


def question(mindscape: Mindscape, texts: Iterable[Text], owned: frozenset[str]) -> str:
    """What the model is asked about one person: the traits that are known, and what was observed."""
    shown = sorted(mindscape.visible_traits().items())[:MOST_TOLD]
    known = {path: _told(trait, fixed=_fixed(path, mindscape, owned)) for path, trait in shown}
    told = "\n".join(as_json(_line(text)) for text in texts)
    return f"<traits>\n{as_json(known)}\n</traits>\n<observations>\n{told}\n</observations>"


def _told(trait: Trait, *, fixed: bool) -> dict[str, Any]:
    value = trait.value if len(as_json(trait.value)) <= LONGEST_TOLD else "(long)"
    return {"value": value, "volatility": trait.volatility, **({"fixed": True} if fixed else {})}


def _line(text: Text) -> dict[str, Any]:
    return {"id": text.id, "type": text.type, "occurredAt": text.occurred_at, "content": text.content}


def read_answer(text: str) -> Proposed:
    """The proposals in an answer. Raises MalformedAnswer where it is not of the schema as a whole."""
    try:
        found = _answer.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):  # whose words would quote the answer
        raise MalformedAnswer("The model's answer is not as asked for.") from None
    proposals: list[Proposal] = []
    for each in found.traits:
        try:
            proposals.append(_proposal.decode(each))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
    return Proposed(tuple(proposals), len(found.traits) - len(proposals))


def infer_update(
    mindscape: Mindscape, texts: Sequence[Text], said: Said, owned: frozenset[str]
) -> MindscapeUpdated | DerivationCompleted:
    """What an answer changes in the mindscape, or that it changes nothing. `owned` are the paths that
    computed traits are defined for; they, and what is pinned, are out of a model's reach."""
    shown = {str(text.id): text for text in texts}
    dropped = Counter({"malformed": said.proposed.malformed})
    taken: dict[str, Trait] = {}
    for proposal in said.proposed.proposals:
        fault = _fault(proposal, mindscape, shown, owned, taken)
        if fault is None:
            taken[proposal.path] = _trait(proposal, shown, mindscape, said.use.model)
        else:
            dropped[fault] += 1
    counted = {reason: count for reason, count in sorted(dropped.items()) if count}
    changed = {path: trait for path, trait in sorted(taken.items()) if trait != mindscape.traits.get(path)}
    if not changed:
        return nothing_inferred(said, counted)
    return MindscapeUpdated(
        traits=changed,
        derivation=DERIVATION,
        definition=said.definition,
        read_through=said.read_through,
        material=material_paths(mindscape, changed, ()),
        agent=AGENT,
        use=said.use,
        dropped=counted,
    )


def said_of(proposed: Proposed, use: ModelUse, read_through: int) -> Said:
    """An answer as it is recorded."""
    definition = f"{use.model}:{use.prompt[:16]}"
    return Said(proposed=proposed, use=use, definition=definition, read_through=read_through)


def nothing_inferred(said: Said, dropped: dict[str, int]) -> DerivationCompleted:
    """That the model was asked and paid, and changed nothing."""
    return DerivationCompleted(
        derivation=DERIVATION,
        definition=said.definition,
        read_through=said.read_through,
        use=said.use,
        dropped=dropped,
    )


def _fault(
    proposal: Proposal,
    mindscape: Mindscape,
    shown: Mapping[str, Text],
    owned: frozenset[str],
    taken: Mapping[str, Trait],
) -> str | None:
    """Why a proposal is dropped; None where it is not. The first reason counts."""
    checks = (
        ("bad path", not _PATH.fullmatch(proposal.path) or len(proposal.path) > LONGEST_PATH),
        ("pinned", meets(proposal.path, mindscape.pins)),
        ("computed", meets(proposal.path, computed_paths(mindscape, owned))),
        ("too many", len(taken) >= MOST_TRAITS),
        ("named twice", meets(proposal.path, taken)),
        ("confidence out of range", not 0 <= proposal.confidence <= 1),
        ("no evidence", not proposal.evidence),
        ("unknown evidence", not shown.keys() >= set(proposal.evidence)),
        ("value not as asked for", not _is_value(proposal.value)),
        ("not storable", not storable([proposal.value, proposal.reason])),
        ("value too large", len(as_json(proposal.value)) > LONGEST_VALUE),
    )
    return next((reason for reason, failed in checks if failed), None)


def _fixed(path: str, mindscape: Mindscape, owned: frozenset[str]) -> bool:
    return path in mindscape.pins or meets(path, computed_paths(mindscape, owned))


def computed_paths(mindscape: Mindscape, owned: frozenset[str]) -> frozenset[str]:
    """Where traits are computed, or are defined to be."""
    return owned | {path for path, trait in mindscape.traits.items() if is_computed(trait)}


def meets(path: str, paths: Iterable[str]) -> bool:
    """Whether a path is one of these, or lies below or above one: a trait at `a.b.c` would be read in place
    of the member `c` of the trait at `a.b`."""
    return any(path == each or path.startswith(f"{each}.") or each.startswith(f"{path}.") for each in paths)


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(member, str) for member in value)
    return isinstance(value, str | int | float)


def _trait(proposal: Proposal, shown: Mapping[str, Text], mindscape: Mindscape, model: str) -> Trait:
    """The trait, on the evidence named and, where it says what the model said before, on that of then."""
    value = pinned_value(proposal.value)
    texts = [shown[id_] for id_ in dict.fromkeys(proposal.evidence)]
    newest_first = sorted(texts, key=lambda text: (text.occurred_at, text.id), reverse=True)
    before = mindscape.traits.get(proposal.path)
    same = before if before is not None and is_inferred(before) and before.value == value else None
    ids = dict.fromkeys((*(text.id for text in newest_first), *(same.evidence if same else ())))
    instants = [newest_first[0].occurred_at, *([same.last_observed_at] if same else [])]
    return Trait(
        value=value,
        volatility=proposal.volatility,
        weight=weight_of(proposal.confidence),
        last_observed_at=max(each for each in instants if each is not None),
        half_life_days=HALF_LIVES[proposal.volatility],
        samples=(same.samples if same else 0) + len(texts),
        source=f"{DERIVATION}:{model}",
        evidence=tuple(ids)[:EVIDENCE_KEPT],
        state={"reason": proposal.reason[:LONGEST_REASON]},
    )


def weight_of(confidence: float) -> float:
    """The weight at which a fresh trait is believed as far as a model says: the inverse of w / (w + K), the
    credibility factor of `facts.confidence`, to four decimals."""
    believed = min(max(confidence, LEAST_BELIEVED), MOST_BELIEVED)
    return round(CREDIBILITY_K * believed / (1 - believed), 4)


def is_inferred(trait: Trait) -> bool:
    """Whether a model made the trait."""
    return trait.source.startswith(f"{DERIVATION}:")


def reason_of(trait: Trait) -> str | None:
    """Why the model that made a trait says that it did; None of a trait that none made."""
    state = trait.state
    if not is_inferred(trait) or not isinstance(state, Mapping):
        return None
    return str(state.get("reason") or "") or None
