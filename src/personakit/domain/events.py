"""The events: what happened, in the past tense, never changed once written.

An event does not repeat its envelope: tenant, stream, version, the person's random surrogate, position
and recording time stand in its row of the log. The caller's id for a person lives outside the log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

import msgspec

from personakit.domain.traits import Trait
from personakit_sdk.rules.facts import Volatility
from personakit_sdk.wire import ConsentPolicyName


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`schema` is the version of the event's shape; an older one is upcast when it is read."""

    schema: ClassVar[int] = 1


class PersonRegistered(Event, frozen=True, kw_only=True):
    """A person became known; from here on they have a persona of their own."""


class ConsentChanged(Event, frozen=True, kw_only=True):
    """What a person consents to became this: `purposes` are all of them, sorted. It stands in the person's
    own stream. `origin` says by which key it was told, `reason` how it was given or withdrawn, in their
    words."""

    purposes: tuple[str, ...]
    origin: str
    reason: str = ""


class ConsentPolicyChanged(Event, frozen=True, kw_only=True):
    """A tenant maps from here on only for purposes that people consented to (`required`), or whatever they
    did (`off`)."""

    policy: ConsentPolicyName
    origin: str
    reason: str = ""


class ObservationRecorded(Event, frozen=True, kw_only=True):
    """An application saw something. `digest` tells a repeated delivery from another body.

    `supersedes` is the observation that this one corrects, and that is retracted with it; from `expires_at`
    on this one counts no longer.
    """

    schema = 2

    type: str
    content: dict[str, Any]
    occurred_at: datetime
    digest: str
    source: str | None = None
    metadata: dict[str, Any] | None = None
    supersedes: UUID | None = None
    expires_at: datetime | None = None


class PersonErased(Event, frozen=True, kw_only=True):
    """A person was erased: their key is gone, and with it all that it sealed. So this stands in their stream
    in clear, and says nothing of them."""


class PersonaErased(Event, frozen=True, kw_only=True):
    """All that was said of a created persona so far is gone with its key, because somebody was erased whom
    it viewed once. Where others are left, the event after it defines it anew for them, under another key."""


RetractionCause = Literal["requested", "superseded", "expired"]


class ObservationRetracted(Event, frozen=True, kw_only=True):
    """An observation counts no longer: somebody said so (`reason` may say why), another one corrects it,
    or its time is over. It stands in the observation's own stream, as its second and last event."""

    cause: RetractionCause
    reason: str | None = None
    superseded_by: UUID | None = None


class FeedbackReceived(Event, frozen=True, kw_only=True):
    """A person, or an application for them, said what became of a suggestion of one rule; `occurred_at` is
    when, where the application told.

    Where the answer was explored and the suggestion's exposure came back, `propensity` is the chance that the
    rule stood where it did, and `among` are the rules that could have stood there.
    """

    schema = 2

    mapper_id: str
    rule_id: str
    digest: str
    mapper_version: int | None = None
    rank: int | None = None
    suggested_at: datetime | None = None
    helpful: bool | None = None
    rating: int | None = None
    outcome: Literal["accepted", "dismissed", "ignored"] | None = None
    comment: str | None = None
    occurred_at: datetime | None = None
    propensity: float | None = None
    among: tuple[str, ...] = ()


class ModelUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model was asked with and what that cost. `prompt` is the SHA-256 (hex) of the instructions,
    without what was observed; tokens as the provider counts them, of which those read from its prompt
    cache, and those written to it, are told apart. `calls` is above 1 where an answer was no use and it was
    asked again: all of them are paid."""

    model: str
    prompt: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usd: float
    calls: int = 1


class MindscapeUpdated(Event, frozen=True, kw_only=True):
    """A derivation changed traits: `traits` are set, `removed` are gone.

    `read_through` is the log position up to which the derivation has read this person's
    observations; `definition` fingerprints the rules it derived by. `material` names the slow traits
    (of low or medium volatility, before or after) that changed enough to make a cached core stale.
    Where a model was asked, `use` is what that took, and `dropped` counts by reason what it proposed and
    was not taken. `anew` are the types of observations whose traits were derived anew, without those that
    were retracted since.
    """

    schema = 4

    traits: dict[str, Trait]
    derivation: str
    definition: str
    read_through: int
    removed: tuple[str, ...] = ()
    material: tuple[str, ...] = ()
    agent: str = "mindscaper"
    use: ModelUse | None = None
    dropped: dict[str, int] = {}
    anew: tuple[str, ...] = ()


class TraitPinned(Event, frozen=True, kw_only=True):
    """Somebody said what a trait is: that is shown from here on, whatever is derived at its path.

    `origin` says who, `reason` why. `material` names the path where that could make a core stale.
    """

    path: str
    value: Any
    volatility: Volatility
    reason: str
    origin: str
    material: tuple[str, ...] = ()


class TraitUnpinned(Event, frozen=True, kw_only=True):
    """A trait is no longer pinned: what is derived at its path, if anything, is shown again."""

    path: str
    reason: str
    origin: str
    material: tuple[str, ...] = ()


class TraitTrustAdjusted(Event, frozen=True, kw_only=True):
    """Feedback on suggestions that rest on traits moved how far these are believed, never what they say.

    `trust` are all factors that the confidences of this person's traits have from here on, by path (1 where
    one is not named); when `day` began they were `morning`. Unless `settled`, some have further to go on
    another day. `read_through` is the position of the newest feedback that was read. `material` as in
    MindscapeUpdated.
    """

    trust: dict[str, float]
    day: date
    morning: dict[str, float]
    settled: bool
    read_through: int
    reason: str
    origin: str = "adjuster"
    material: tuple[str, ...] = ()


class DerivationCompleted(Event, frozen=True, kw_only=True):
    """A derivation read on and found nothing to change; `use` and `dropped` as in MindscapeUpdated."""

    schema = 2

    derivation: str
    definition: str
    read_through: int
    use: ModelUse | None = None
    dropped: dict[str, int] = {}


class PersonaDefined(Event, frozen=True, kw_only=True):
    """A persona beside people's own was created, or another definition given to it: whose mindscapes it views
    (of a trait that several have, the first one's counts), and which traits it uses (None: all)."""

    people: tuple[UUID, ...]
    name: str = ""
    paths: tuple[str, ...] | None = None
    origin: str = ""


class PersonaRetired(Event, frozen=True, kw_only=True):
    """A created persona is there no more."""

    origin: str
    reason: str = ""


class PersonaCoreGenerated(Event, frozen=True, kw_only=True):
    """A persona's core was made, from these versions of these people's mindscapes; where a model wrote the
    summary, `use` is what that took."""

    schema = 4

    summary: str
    traits: dict[str, Trait]
    mindscape_versions: dict[str, int]
    source: Literal["composed", "model"] = "composed"
    agent: str = "regenerator"
    use: ModelUse | None = None


class MapperPublished(Event, frozen=True, kw_only=True):
    """A document became a mapper's next version; `hash` is of its normal form, which `document` is.

    `source` is the text that was uploaded, where that was YAML. `restores` is the version whose document
    this is, where an earlier one was published anew. `origin` says who or what made this version, `reason`
    why, in their words.
    """

    schema = 2
    mapper_id: str
    document: dict[str, Any]
    hash: str
    status: Literal["draft", "active"]
    origin: str
    reason: str = ""
    source: str | None = None
    restores: int | None = None


class RuleWeightChanged(Event, frozen=True, kw_only=True):
    """The author's weight of one rule of the active version (of the newest draft where no version was ever
    active) became `weight`, which makes the next version; `hash` is of the whole document after it."""

    mapper_id: str
    rule_id: str
    weight: float
    hash: str
    origin: str
    reason: str = ""


class RuleEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is believed of a rule: its rate of good votes, how many votes that rests on, of how many
    personas."""

    rate: float
    votes: float
    personas: int


AdjustmentCause = Literal["learned", "approved", "frozen", "thawed", "rolled_back"]


class RuleWeightsAdjusted(Event, frozen=True, kw_only=True):
    """What was learned of a mapper's rules, or which of them learn, became this: the next version, with the
    same document.

    `learned` are all multipliers by rule (1 where one is not named), `frozen` the rules that do not learn.
    `morning` are the multipliers that stood when `day` began, from which that day's steps are counted, and
    `settled` says that none has further to go. `evidence` is what was believed by the votes up to position
    `read_through`. `restores` is the version whose multipliers these are, where they were rolled back.
    """

    mapper_id: str
    learned: dict[str, float]
    frozen: tuple[str, ...]
    day: date
    morning: dict[str, float]
    settled: bool
    evidence: dict[str, RuleEvidence]
    read_through: int
    cause: AdjustmentCause
    origin: str
    reason: str = ""
    restores: int | None = None


class PersonaWeightsAdjusted(Event, frozen=True, kw_only=True):
    """What was learned of a mapper's rules for one persona became this; the fields are those of
    `RuleWeightsAdjusted`."""

    mapper_id: str
    learned: dict[str, float]
    day: date
    morning: dict[str, float]
    settled: bool
    evidence: dict[str, RuleEvidence]
    read_through: int


class MapperWithdrawn(Event, frozen=True, kw_only=True):
    """A mapper was taken out of use, until a version of it is published again."""

    mapper_id: str
    origin: str
    reason: str = ""


class ComputedTraitsPublished(Event, frozen=True, kw_only=True):
    """A tenant gave itself a document of computed traits, in the place of any that has the same id; `hash` is
    of the document as it was sent, `source` the text of it, where that was YAML.

    All of a tenant's documents are in one stream, whose version each event counts up: so no two of them can
    define the same trait, however many come at once.
    """

    document_id: str
    document: dict[str, Any]
    hash: str
    origin: str
    reason: str = ""
    source: str | None = None


class ComputedTraitsWithdrawn(Event, frozen=True, kw_only=True):
    """A tenant's own document is in use no more; one of the release that has its id is again."""

    document_id: str
    origin: str
    reason: str = ""


MindscapeEvent = MindscapeUpdated | TraitPinned | TraitUnpinned | TraitTrustAdjusted
"""What changes a mindscape."""
AnyEvent = (
    PersonRegistered
    | PersonErased
    | PersonaErased
    | ConsentChanged
    | ConsentPolicyChanged
    | ObservationRecorded
    | ObservationRetracted
    | FeedbackReceived
    | MindscapeUpdated
    | TraitPinned
    | TraitUnpinned
    | TraitTrustAdjusted
    | DerivationCompleted
    | PersonaDefined
    | PersonaRetired
    | PersonaCoreGenerated
    | PersonaWeightsAdjusted
    | MapperPublished
    | RuleWeightChanged
    | RuleWeightsAdjusted
    | MapperWithdrawn
    | ComputedTraitsPublished
    | ComputedTraitsWithdrawn
)
EVENT_TYPES: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        PersonRegistered,
        PersonErased,
        PersonaErased,
        ConsentChanged,
        ConsentPolicyChanged,
        ObservationRecorded,
        ObservationRetracted,
        FeedbackReceived,
        MindscapeUpdated,
        TraitPinned,
        TraitUnpinned,
        TraitTrustAdjusted,
        DerivationCompleted,
        PersonaDefined,
        PersonaRetired,
        PersonaCoreGenerated,
        PersonaWeightsAdjusted,
        MapperPublished,
        RuleWeightChanged,
        RuleWeightsAdjusted,
        MapperWithdrawn,
        ComputedTraitsPublished,
        ComputedTraitsWithdrawn,
    )
}


def _as_it_was(content: dict[str, Any]) -> dict[str, Any]:
    """The next version added what may be left out."""
    return content


def _without_reasons(content: dict[str, Any]) -> dict[str, Any]:
    """Nobody was asked for a reason, and no text was kept."""
    return {**content, "reason": "", "source": None, "restores": None}


UPCASTS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "ObservationRecorded.1": _as_it_was,
    "FeedbackReceived.1": _as_it_was,
    "MindscapeUpdated.1": _as_it_was,
    "MindscapeUpdated.2": _as_it_was,
    "MindscapeUpdated.3": _as_it_was,
    "DerivationCompleted.1": _as_it_was,
    "PersonaCoreGenerated.1": _as_it_was,
    "PersonaCoreGenerated.2": _as_it_was,
    "PersonaCoreGenerated.3": _as_it_was,
    "MapperPublished.1": _without_reasons,
}
"""By topic (`Name.version`): what makes the content of an older shape that of the next version."""
