"""Every body of the HTTP API, one Struct each, shared by the service and its clients.

Field names are camelCase on the wire. Unknown fields are errors in requests. Mapper documents keep
their own snake_case and travel as plain objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from personakit_sdk.rules.diff import Change, RulesDiff
from personakit_sdk.rules.document import PURPOSE
from personakit_sdk.rules.evaluate import Suggestion
from personakit_sdk.rules.facts import TraitFact, Volatility
from personakit_sdk.rules.inline_tests import TestResult

PersonId = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9._:@-]{1,128}$(?!\n)", description="1 to 128 of A-Z a-z 0-9 . _ : @ -"),
]
PersonaId = Annotated[str, Meta(pattern=r"^(~[0-9a-f-]{36}|[A-Za-z0-9._:@-]{1,128})$(?!\n)")]
RuleRef = Annotated[str, Meta(min_length=1, max_length=256)]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
ClientId = Annotated[str, Meta(min_length=1, max_length=128)]
DetailLevel = Literal["instant", "balanced", "deep_dive"]
IfStale = Literal["serve", "regenerate", "fail"]
Outcome = Literal["accepted", "dismissed", "ignored"]
ItemKind = Literal["observation", "feedback"]
WriteStatus = Literal["stored", "duplicate", "rejected", "retry"]
MapperStatus = Literal["draft", "active", "deprecated"]
TraitsStatus = Literal["active", "withdrawn"]
MapperChange = Literal["published", "restored", "weight", "learned", "withdrawn"]
LearningCause = Literal["learned", "approved", "frozen", "thawed", "rolled_back"]
Publishing = Literal["auto", "propose", "off"]
ConsentPolicyName = Literal["off", "required"]
Purpose = Annotated[
    str,
    Meta(pattern=rf"^{PURPOSE.pattern}$(?!\n)", description="1 to 64 of a-z 0-9 _, beginning with a letter"),
]
Reason = Annotated[str, Meta(max_length=500, description="Why, in the words of whoever does it")]


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a client sends."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the service answers; clients ignore fields they do not know."""


# --- observations


class Observation(Request, frozen=True, kw_only=True, omit_defaults=True):
    """A fact about a person, never changed once written. Without `id` the service makes one.

    `supersedes` is the id of an observation of the same person that this one corrects: that one is retracted
    with it. From `expiresAt` on the observation counts no longer.
    """

    person_id: PersonId
    type: Annotated[
        str, Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$(?!\n)", description="for example work_session")
    ]
    content: dict[str, Any]
    occurred_at: Instant
    id: UUID | None = None
    source: Annotated[str, Meta(max_length=256)] | None = None
    metadata: dict[str, Any] | None = None
    supersedes: UUID | None = None
    expires_at: Instant | None = None


class Written(Answer, frozen=True, kw_only=True):
    """The fate of one write; `position` is the log position of the stored (or first) event."""

    id: UUID
    position: int
    status: Literal["stored", "duplicate"]


class BatchResult(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """The fate of one item of a batch; `id` is null where none could be read."""

    status: WriteStatus
    id: UUID | None = None
    position: int | None = None
    problem: Problem | None = None


class BatchAnswer(Answer, frozen=True, kw_only=True):
    """One result for each item, in input order."""

    results: list[BatchResult]


RetractionCause = Literal["requested", "superseded", "expired"]


class Retraction(Answer, frozen=True, kw_only=True):
    """Why and since when an observation counts no longer; `reason` is what was said by who asked for it."""

    position: int
    at: datetime
    cause: RetractionCause
    reason: str | None
    superseded_by: UUID | None


class Retracted(Answer, frozen=True, kw_only=True):
    """What became of a request to retract an observation: `repeated` says that it was retracted before.

    `position`, `cause`, `reason` and `supersededBy` are those of the retraction that counts, the first one.
    """

    id: UUID
    position: int
    status: Literal["retracted", "repeated"]
    cause: RetractionCause
    reason: str | None
    superseded_by: UUID | None


class StoredObservation(Answer, frozen=True, kw_only=True):
    """An observation as it was recorded, and its retraction, where there is one."""

    id: UUID
    person_id: str
    type: str
    content: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime
    position: int
    source: str | None
    metadata: dict[str, Any] | None
    supersedes: UUID | None
    expires_at: datetime | None
    retraction: Retraction | None


class ObservationList(Answer, frozen=True, kw_only=True):
    """A page of observations, oldest position first."""

    items: list[StoredObservation]
    next: str | None


# --- mindscapes and personas


class Trait(Answer, frozen=True, kw_only=True):
    """One trait of a person, with how far to believe it and the newest observations it rests on.

    `truncated` says that the value is an estimate, because more different ones came than are kept;
    `evidenceChanged` that some of what a model derived the trait from was retracted since. `trust` is what
    feedback made of the confidence: a factor, 1 where it said nothing.
    """

    value: Any
    confidence: float
    volatility: Volatility
    samples: int
    last_observed_at: datetime | None
    source: str
    pinned: bool
    truncated: bool
    evidence_changed: bool = False
    trust: float = 1.0
    evidence: list[UUID]


class DerivedTrait(Answer, frozen=True, kw_only=True):
    """What is derived where a trait is pinned; `contradicts` says whether it is something else."""

    value: Any
    confidence: float
    samples: int
    last_observed_at: datetime | None
    source: str
    contradicts: bool


class PinnedTrait(Answer, frozen=True, kw_only=True):
    """Who pinned a trait and why, and what is derived beneath, if anything is."""

    reason: str
    origin: str
    derived: DerivedTrait | None


class PinTrait(Request, frozen=True, kw_only=True, omit_defaults=True):
    """Say what a trait is: that is shown from now on, whatever is derived."""

    value: Any
    reason: Annotated[
        str, Meta(min_length=1, max_length=1024, description="Why, for those who read it later")
    ]
    volatility: Volatility = "low"


class Mindscape(Answer, frozen=True, kw_only=True):
    """All that is believed about a person. `version` counts its updates; 0 is empty. `pins` say of the
    pinned among `traits` who pinned them, why, and what is derived beneath."""

    person_id: str
    version: int
    traits: dict[str, Trait]
    pins: dict[str, PinnedTrait]
    derived_through: dict[str, int]
    position: int


class TraitThen(Answer, frozen=True, kw_only=True):
    """A trait at one version of a mindscape; `confidence` is as of when that version was recorded."""

    value: Any
    confidence: float
    volatility: Volatility
    source: str


class TraitChange(Answer, frozen=True, kw_only=True):
    """What a version changed in one trait; `before` is null where it came, `after` where it went.

    `material` says that the change is large enough to make a cached core stale.
    """

    path: str
    before: TraitThen | None
    after: TraitThen | None
    material: bool


class MindscapeVersion(Answer, frozen=True, kw_only=True):
    """One entry of a mindscape's history: what changed, why and by whom.

    `definition` fingerprints the rules that `derivation` went by, and `readThrough` is the position up to
    which it had read the person's observations; where a trait was pinned or unpinned they are null.
    `reason` says it in a sentence.
    """

    version: int
    position: int
    recorded_at: datetime
    agent: str
    derivation: str | None
    definition: str | None
    read_through: int | None
    changed: list[TraitChange]
    reason: str


class ModelUse(Answer, frozen=True, kw_only=True):
    """What a model was asked with (`prompt` is the SHA-256 of its instructions) and what that cost; `calls`
    is above 1 where an answer was of no use and it was asked again."""

    model: str
    prompt: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usd: float
    calls: int


class DayOfModelUse(Answer, frozen=True, kw_only=True):
    """What one agent asked of one model on a day (UTC), and what that cost: `anthropic` reads free text,
    `summary` words the cores of personas, `rereading` reads all again, aside."""

    day: date
    agent: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usd: float


class DroppedProposals(Answer, frozen=True, kw_only=True):
    """How much of what a model said on a day was not taken, and why."""

    day: date
    agent: str
    reason: str
    dropped: int


class ModelBudget(Answer, frozen=True, kw_only=True):
    """What may be spent in a day (UTC), and what of today's is."""

    usd_per_day: float
    spent_today: float


class ModelUseReport(Answer, frozen=True, kw_only=True):
    """What models were used for, by day, from `first` to `last`, both included. `budget` is null where no
    model is asked."""

    first: date
    last: date
    usd: float
    budget: ModelBudget | None
    items: list[DayOfModelUse]
    dropped: list[DroppedProposals]


class TraitVersion(Answer, frozen=True, kw_only=True):
    """A version of a mindscape that changed a trait: to what (null: it went), why and by whom; `use` where a
    model was asked."""

    version: int
    position: int
    recorded_at: datetime
    agent: str
    trait: TraitThen | None
    reason: str
    use: ModelUse | None


class TraitEvidence(Answer, frozen=True, kw_only=True):
    """Why a trait is believed: the observations that it rests on, newest first, a page of them, and the
    newest versions that changed it. `pin` is there where it is pinned."""

    person_id: str
    path: str
    trait: Trait
    pin: PinnedTrait | None
    history: list[TraitVersion]
    items: list[StoredObservation]
    next: str | None


class MindscapeVersionList(Answer, frozen=True, kw_only=True):
    """A page of a mindscape's history, newest version first."""

    items: list[MindscapeVersion]
    next: str | None


class Core(Answer, frozen=True, kw_only=True):
    """The slow, cached part of a persona. `cost` is what its summary took, where a model wrote it."""

    summary: str
    traits: dict[str, Trait]
    source: Literal["composed", "model"]
    generated_at: datetime
    cost: ModelUse | None = None


class Persona(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """A view of one or more mindscapes: the cached core, and the overlay read live.

    `core_version` counts the generated cores; 0 is one composed in memory that is not cached. `uses` are
    the traits that a created persona uses; without it, all. `learned` are the persona's own multipliers, by
    mapper and rule; 1 where a rule is not named. `consentedTo` are the purposes that all its people have
    consented to.
    """

    id: str
    people: list[str]
    core: Core
    overlay: dict[str, Trait]
    is_stale: bool
    core_version: int
    stale_since: datetime | None = None
    changed_traits: list[str] = []
    position: int = 0
    name: str = ""
    uses: list[str] | None = None
    regenerate: Regenerate | None = None
    learned: dict[str, dict[str, float]] = {}
    consented_to: list[str] = []


class DefinePersona(Request, frozen=True, kw_only=True, omit_defaults=True):
    """A view of one or more people's mindscapes. Of a trait that several of them have, the first one's
    counts. `uses` are the paths of the traits that belong to it, `work.*` for all below; without it, all."""

    people: Annotated[list[PersonId], Meta(min_length=1, max_length=50)]
    name: Annotated[str, Meta(max_length=256)] = ""
    uses: (
        Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=512)]], Meta(min_length=1, max_length=256)
        ]
        | None
    ) = None


class ErasureReceipt(Answer, frozen=True, kw_only=True):
    """That a person was erased, signed; the same for who asks again. The erasure `id` was carried out by the
    event at `position`, in the log's `epoch`. `personas` are the created ones that lost what had been said of
    them, and go on without the person where others are left. `signature` is the Ed25519 signature, in
    base64, of the receipt without it as JSON (members sorted by name, no spaces, UTF-8) under `publicKey`.
    """

    id: UUID
    person_id: str
    erased_at: datetime
    position: int
    epoch: UUID
    personas: list[str]
    public_key: str
    signature: str = ""


class MadePerson(Answer, frozen=True, kw_only=True):
    """Somebody who is known from here on. Nothing of whoever had the id before is theirs."""

    id: str
    position: int


class PersonaRetired(Answer, frozen=True, kw_only=True):
    """A created persona is there no more, from a position of the log on."""

    id: str
    position: int


class PersonaSummary(Answer, frozen=True, kw_only=True):
    """A persona in a list, without its core."""

    id: str
    name: str
    people: list[str]
    is_stale: bool
    core_version: int
    stale_since: datetime | None


class PersonaList(Answer, frozen=True, kw_only=True):
    """A page of personas, by id."""

    items: list[PersonaSummary]
    next: str | None


class Freshness(Answer, frozen=True, kw_only=True):
    """Which state of the log an answer reflects."""

    position: int
    mindscape_versions: dict[str, int]
    derived_through: dict[str, dict[str, int]]


class Estimate(Answer, frozen=True, kw_only=True):
    """What regenerating a core would cost."""

    input_tokens: int
    output_tokens: int
    usd: float


class Regenerate(Answer, frozen=True, kw_only=True):
    """Where to ask for a fresh core, and at what price."""

    href: str
    estimate: Estimate


# --- keys

KeyScope = Literal["observe", "feedback", "read", "map", "mappers:write", "people:erase", "admin"]
KeyName = Annotated[str, Meta(min_length=1, max_length=128)]
MOST_OVERLAP_SECONDS: Final = 90 * 86_400
MOST_A_SECOND: Final = 1_000_000


class KeyRate(Request, frozen=True, kw_only=True):
    """How fast a key may go on the long average: requests, and observations and feedback, a second. What it
    leaves unused in ten seconds it may use at once.
    """

    requests: Annotated[float, Meta(gt=0, le=MOST_A_SECOND)]
    items: Annotated[float, Meta(gt=0, le=MOST_A_SECOND)]


class CreateKey(Request, frozen=True, kw_only=True):
    """A new API key. With `people` or `personas` it is limited to them: it sees those people, each persona
    that views nobody else, and the personas that are named. Such a key has neither `mappers:write` nor
    `admin`.
    """

    name: Annotated[KeyName, Meta(description="What it is for; versions that it makes say it")]
    scopes: Annotated[list[KeyScope], Meta(min_length=1)]
    people: list[PersonId] | None = None
    personas: list[PersonaId] | None = None
    expires_at: Instant | None = None
    rate: KeyRate | None = None


class RotateKey(Request, frozen=True, kw_only=True):
    """Another key in place of one, which itself ends after `overlapSeconds`, 90 days at most."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=MOST_OVERLAP_SECONDS)] = 0


class ApiKey(Answer, frozen=True, kw_only=True):
    """A key, without its secret. `id` is how the secret begins. `endsAt` is `expiresAt`, or what a rotation
    left it. `lastUsedAt` comes some seconds late. `people` and `personas` are null for an unlimited key,
    `rate` for one that goes as fast as is usual.
    """

    id: str
    name: str
    scopes: list[KeyScope]
    people: list[str] | None
    personas: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    ends_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    rate: KeyRate | None


class CreatedKey(Answer, frozen=True, kw_only=True):
    """A key that was just made, and its secret, which is shown this once."""

    secret: str
    key: ApiKey


class KeyList(Answer, frozen=True, kw_only=True):
    """Keys by their ids; those too that were revoked or have expired."""

    items: list[ApiKey]
    next: str | None


# --- people


class KnownPerson(Answer, frozen=True, kw_only=True):
    """Somebody of whom something was recorded, and since when they are known."""

    id: str
    registered_at: datetime


class PersonList(Answer, frozen=True, kw_only=True):
    """A page of people, by id."""

    items: list[KnownPerson]
    next: str | None


class ExportedEvent(Answer, frozen=True, kw_only=True):
    """Something that happened, as the log has it. `about` is the person, or a created persona of theirs.
    `kind` and `id` name what it happened to: an observation or a feedback by its own id, everything else by
    that of whom it is about. `version` counts the events of that one thing. `topic` says what happened, and
    by its number in which shape `content` is.
    """

    position: int
    recorded_at: datetime
    about: str
    kind: str
    id: str
    version: int
    topic: str
    content: dict[str, Any]


class SharedView(Answer, frozen=True, kw_only=True):
    """That a persona of several people viewed the person, from a position on up to another; `until` is null
    where it still does. `uses` are the traits that it used, null for all."""

    since: int
    since_at: datetime
    until: int | None
    until_at: datetime | None
    uses: list[str] | None


class SharedCore(Answer, frozen=True, kw_only=True):
    """That a core of several people was made, and from which version of this person's mindscape."""

    position: int
    recorded_at: datetime
    source: str
    mindscape_version: int


class SharedPersona(Answer, frozen=True, kw_only=True):
    """A created persona that views the person and others, or did once: when, and what of theirs it used. What
    it says of all of them together is not told; `heldBack` counts it, by topic."""

    id: str
    views: list[SharedView]
    cores: list[SharedCore]
    held_back: dict[str, int]


class AwaitedDerivation(Answer, frozen=True, kw_only=True):
    """How far a derivation has read the person's observations (`readThrough`), and the position of the newest
    that it is to read (`due`)."""

    derivation: str
    due: int
    read_through: int


class AwaitedText(Answer, frozen=True, kw_only=True):
    """An observation whose free text a model has not read, with how long that is about."""

    id: UUID
    tokens: int
    recorded_at: datetime


class HeldLease(Answer, frozen=True, kw_only=True):
    """Work on the person that is under way (`held`), or that failed so many times in a row."""

    kind: str
    until: datetime
    held: bool
    failures: int
    failed_at: datetime | None
    error: str | None


class QuarantinedEvent(Answer, frozen=True, kw_only=True):
    """An event about the person that a read model could not take, so that nothing later of what it happened
    to shows there."""

    name: str | None
    position: int
    topic: str
    error: str
    quarantined_at: datetime


class PendingWork(Answer, frozen=True, kw_only=True):
    """What is still to be done about a person, as it stood when they were exported."""

    derivations: list[AwaitedDerivation]
    texts: list[AwaitedText]
    leases: list[HeldLease]
    quarantined: list[QuarantinedEvent]


class PersonModelUse(Answer, frozen=True, kw_only=True):
    """What models were asked about a person, by day, and how much of what they said was not taken."""

    items: list[DayOfModelUse]
    dropped: list[DroppedProposals]


class NamingKey(Answer, frozen=True, kw_only=True):
    """An API key that is limited to the person (`person`), or to personas that view them. Whom else it is
    limited to is not told."""

    id: str
    name: str
    scopes: list[KeyScope]
    person: bool
    personas: list[str]
    created_at: datetime
    ends_at: datetime | None
    revoked_at: datetime | None


class AuditEntry(Answer, frozen=True, kw_only=True):
    """That a person's data was read or changed, so many `times` from `firstAt` to `lastAt`, within an hour.
    `personId` is null for somebody who was erased since, and for people of whom there were too many at once
    to keep whom. `key` is the id of the API key, or `cli` for a command past the API, which has no `status`.
    `status` is that of the answer, of a batch that of the whole; 499 where the caller did not wait for one.
    `position` is that of the newest change, null where nothing was changed.
    """

    person_id: str | None
    key: str
    key_name: str | None
    operation: str
    status: int | None
    times: int
    first_at: datetime
    last_at: datetime
    position: int | None


class AuditList(Answer, frozen=True, kw_only=True):
    """A page of the audit, the newest entry first."""

    items: list[AuditEntry]
    next: str | None


class PersonExport(Answer, frozen=True, kw_only=True):
    """Everything that is held about a person; all but `audit` as of a position of the log.

    `events` are all that the log says about them and about the created personas that never viewed anybody
    else: observations (those too that were retracted), feedback, each version of the mindscape, pins, trust,
    consent, cores, learned weights and what was paid. `mindscape` and `persona` are what that comes to.
    `audit` is who read or changed their data, up to now. The document is whole only if it ends: what was cut
    off is no JSON.
    """

    format: int
    person_id: str
    registered_at: datetime
    exported_at: datetime
    position: int
    mindscape: Mindscape
    persona: Persona
    model_use: PersonModelUse
    pending: PendingWork
    keys: list[NamingKey]
    shared_personas: list[SharedPersona]
    audit: list[AuditEntry]
    events: list[ExportedEvent]


# --- mapping


class MapPersona(Request, frozen=True, kw_only=True, omit_defaults=True):
    """Turn a persona into suggestions. `at` defaults to `context.current_time`, then to now."""

    mapper_id: str
    persona_id: PersonaId
    detail_level: DetailLevel = "balanced"
    if_stale: IfStale = "serve"
    at: Instant | None = None
    timezone: str | None = None
    context: dict[str, Any] = {}
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None
    explain: bool = False


class PersonaView(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """The persona as far as the detail level shows it."""

    id: str
    core: Core
    is_stale: bool
    core_version: int
    overlay: dict[str, Trait] | None = None
    stale_since: datetime | None = None


class MapperRef(Answer, frozen=True, kw_only=True):
    """Exactly which mapper decided."""

    id: str
    version: int
    hash: str


class Withheld(Answer, frozen=True, kw_only=True):
    """Why a persona was not mapped: `purposes` are those of the mapper that not all of its people have
    consented to; none of them where the mapper does not say what it is for. `reason` says it in a sentence.
    """

    purposes: list[str]
    reason: str


class MapAnswer(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """Suggestions, best first, with what they were decided from. Where the mapping is `withheld` there are
    none, and nothing of the persona's traits is told."""

    persona: PersonaView
    suggestions: list[Suggestion]
    mapper: MapperRef
    missing_traits: list[str]
    freshness: Freshness
    regenerate: Regenerate
    explanation: Any = None
    withheld: Withheld | None = None


class TraitThere(Answer, frozen=True, kw_only=True):
    """A trait that a suggestion rests on, as it was: which version of whose mindscape made it so, by whom and
    why, and the newest observations behind it (GET …/evidence has all of them)."""

    path: str
    person_id: str
    trait: TraitThen
    made_by: TraitVersion | None
    evidence: list[UUID]


class ConsentThen(Answer, frozen=True, kw_only=True):
    """Whether a persona could be mapped at an instant: the tenant's policy then, what the mapper was for, and
    what all people of the persona had consented to. `withheld` says why not."""

    policy: ConsentPolicyName
    purposes: list[str]
    consented_to: list[str]
    withheld: Withheld | None


class Why(Answer, frozen=True, kw_only=True):
    """The whole chain behind a suggestion: the version of the mapper and its rule, with what each condition
    saw, the traits as they were, and the consent that there was.

    `suggestion` is made again from the log, as of `position`; it is null where it cannot be: the context
    that it was asked with is not kept, and `explanation` shows which condition did not hold without it; or
    the mapping was withheld by then, which a device heard of later.
    """

    suggestion_id: str
    persona_id: str
    mapper: MapperRef
    rule_id: str
    rank: int
    at: datetime
    position: int
    suggestion: Suggestion | None
    explanation: Any
    traits: list[TraitThere]
    consent: ConsentThen


# --- consent


class ChangeConsent(Request, frozen=True, kw_only=True, omit_defaults=True):
    """All that a person consents to from now on: what is not named is withdrawn, or was never given."""

    purposes: Annotated[list[Purpose], Meta(max_length=256)]
    reason: Annotated[
        str, Meta(max_length=500, description="How it was given or withdrawn, for those who read it later")
    ] = ""


class ConsentChange(Answer, frozen=True, kw_only=True):
    """What somebody consented to from then on, and by which key it was told."""

    version: int
    purposes: list[str]
    changed_at: datetime
    position: int
    origin: str
    reason: str


class Consent(Answer, frozen=True, kw_only=True):
    """What a person consents to. `version` is that of the last change, 0 where nothing was ever said;
    `history` are the newest 100 changes, the newest first."""

    person_id: str
    purposes: list[str]
    version: int
    history: list[ConsentChange]


class SetConsentPolicy(Request, frozen=True, kw_only=True, omit_defaults=True):
    """With `required`, a persona is mapped only for purposes that all its people have consented to, and by no
    mapper that does not say what it is for; with `off`, whatever they consented to."""

    policy: ConsentPolicyName
    reason: Reason = ""


class ConsentPolicy(Answer, frozen=True, kw_only=True):
    """Whether mapping takes consent. `undeclared` are the active mappers that do not say what they are for:
    where consent is required, they map nobody. `version` 0: nobody ever set it, and it is `off`."""

    policy: ConsentPolicyName
    version: int
    changed_at: datetime | None
    origin: str
    reason: str
    undeclared: list[str]


# --- feedback


class Feedback(Request, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a suggestion; names it by `suggestionId`, or by mapper, rule and persona; where both are
    there, they are to be the same.

    `occurredAt` is when that was; without it, when it is received. `exposure` is the suggestion's own, where
    it had one: with it the vote counts for the evaluation of other versions too.
    """

    id: UUID | None = None
    suggestion_id: Annotated[str, Meta(max_length=1024)] | None = None
    exposure: Annotated[str, Meta(max_length=4096)] | None = None
    mapper_id: RuleRef | None = None
    rule_id: RuleRef | None = None
    persona_id: PersonaId | None = None
    helpful: bool | None = None
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None
    outcome: Outcome | None = None
    comment: Annotated[str, Meta(max_length=2000)] | None = None
    occurred_at: Instant | None = None


# --- mappers


class RuleWeight(Request, frozen=True, kw_only=True, omit_defaults=True):
    """A rule's new weight: either `weight` itself, or `change`, what is to be added to what it is now."""

    weight: float | None = None
    change: float | None = None
    reason: Reason = ""


class RuleLearning(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """What was learned of one rule: its suggestions count `weight` (the author's) times `learned`. `proposed`
    is the multiplier that would be published now. `rate` is the share of good votes that is believed in,
    `votes` how many it rests on, the older the less, of how many `personas`. A rule that is `frozen` does not
    learn. `version` gave the rule its multiplier, at `changedAt`."""

    rule_id: str
    learned: float
    weight: float | None = None
    proposed: float | None = None
    rate: float | None = None
    votes: float = 0.0
    personas: int = 0
    frozen: bool = False
    version: int | None = None
    changed_at: datetime | None = None


class RuleLearned(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """The multiplier that a version gave a rule, and what was believed of the rule then, as `RuleLearning`
    says it."""

    rule_id: str
    learned: float
    rate: float | None = None
    votes: float = 0.0
    personas: int = 0


class LearnedVersion(Answer, frozen=True, kw_only=True):
    """A version that was made by what was learned, or by what somebody did about it (`cause`): who or what
    made it, why, and which multipliers it changed. `restores` is the version that was rolled back to."""

    version: int
    created_at: datetime
    cause: LearningCause
    origin: str
    reason: str
    restores: int | None = None
    changed: list[RuleLearned]


class LearnedWeights(Answer, frozen=True, kw_only=True):
    """What was learned of a mapper's rules for all, and what would be by the votes there are. `gone` are
    rules of earlier versions that have votes or a multiplier: both are kept for when the rule comes back.
    `history` are the 20 newest versions that learning made, the newest first; `GET /mappers/{id}/versions`
    has all."""

    id: str
    version: int
    hash: str
    publishing: Publishing
    rules: list[RuleLearning]
    gone: list[RuleLearning]
    history: list[LearnedVersion] = []


class AdjustWeights(Request, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done about what was learned of a mapper's rules: `approve` what is proposed, `freeze`
    rules so that they do not learn, `thaw` them, or `roll_back` to the multipliers of a `version`, which
    freezes the rules that it changes. `rules` are their ids; without it, all. `weights` are, of an approval,
    the multipliers that were seen: 409 where they are no longer what is proposed."""

    action: Literal["approve", "freeze", "thaw", "roll_back"]
    rules: list[RuleRef] | None = None
    version: int | None = None
    weights: dict[str, float] | None = None
    reason: Reason = ""


class Mapper(Answer, frozen=True, kw_only=True):
    """One version of a mapper. `hash` is of the document alone: learning never changes it.

    `change` says what made this version, `origin` who or what did, and `reason` why. `learned` multiplies
    weights, by rule; 1 where a rule is not named.
    """

    id: str
    version: int
    status: MapperStatus
    document: dict[str, Any]
    hash: str
    created_at: datetime
    origin: str
    reason: str = ""
    change: MapperChange = "published"
    learned: dict[str, float] = {}


class MapperSummary(Answer, frozen=True, kw_only=True):
    """A mapper in a list, without its document."""

    id: str
    version: int
    status: MapperStatus
    name: str
    description: str
    hash: str
    created_at: datetime


class MapperList(Answer, frozen=True, kw_only=True):
    """A page of mappers, by id."""

    items: list[MapperSummary]
    next: str | None


class MapperVersion(Answer, frozen=True, kw_only=True):
    """One entry of a mapper's history: who or what (`origin`) changed what, and why (`reason`).

    `authorVersion` is the document's own `metadata.version`. `restores` names the version whose document
    this one published anew, or whose multipliers it brought back, where it did. `cause` says of `learned` how
    the multipliers changed.
    """

    version: int
    status: MapperStatus
    author_version: str
    hash: str
    created_at: datetime
    origin: str
    reason: str = ""
    change: MapperChange = "published"
    restores: int | None = None
    cause: LearningCause | None = None


class MapperVersionList(Answer, frozen=True, kw_only=True):
    """A page of a mapper's history, newest version first."""

    items: list[MapperVersion]
    next: str | None


class MapperDiff(Answer, frozen=True, kw_only=True):
    """What differs between two versions of a mapper, in their normal forms; `before` is 0 for no version.

    `rules` says it rule by rule, with pointers into the rule; `elsewhere` has what else differs, with
    pointers into the document. In a change, `before` is absent where a value came and `after` where it went.
    """

    id: str
    before: int
    after: int
    rules: RulesDiff
    elsewhere: list[Change]


class Validation(Answer, frozen=True, kw_only=True):
    """What publishing a document would meet; nothing is stored.

    `valid` says that it would be taken: `faults` refuse it, and so does a test of its own that failed.
    `warnings` refuse nothing. `id`, `version` (the author's), `hash` and `document` (the normal form) are
    null where the document could not be read.
    """

    valid: bool
    id: str | None
    version: str | None
    hash: str | None
    faults: list[FaultAt]
    warnings: list[FaultAt]
    tests: list[TestResult]
    document: dict[str, Any] | None


# --- computed traits


class ComputedTraits(Answer, frozen=True, kw_only=True):
    """One document of computed traits, as it is in use, or (`withdrawn`) as it was.

    `version` counts what the tenant did to any of its documents; 0 is one that comes with the release, whose
    `origin` is `shipped`. Else `origin` and `reason` say who made the version, and why.
    """

    id: str
    version: int
    status: TraitsStatus
    document: dict[str, Any]
    hash: str
    created_at: datetime | None
    origin: str
    reason: str = ""


class ComputedTraitsSummary(Answer, frozen=True, kw_only=True):
    """A document of computed traits in a list: which traits it computes, from which observations."""

    id: str
    version: int
    status: TraitsStatus
    author_version: str
    description: str
    observes: str
    paths: list[str]
    hash: str
    created_at: datetime | None
    origin: str


class ComputedTraitsList(Answer, frozen=True, kw_only=True):
    """All documents of computed traits that are in use, by id."""

    items: list[ComputedTraitsSummary]


class ComputedTraitsVersion(Answer, frozen=True, kw_only=True):
    """One entry of a document's history: who (`origin`) published or withdrew it, and why (`reason`).

    `authorVersion` is the document's own `metadata.version`. Numbers are counted over all documents of the
    tenant, so those of one document may leave some out.
    """

    version: int
    change: Literal["published", "withdrawn"]
    author_version: str
    hash: str
    created_at: datetime
    origin: str
    reason: str = ""


class ComputedTraitsVersionList(Answer, frozen=True, kw_only=True):
    """A page of a document's history, newest version first."""

    items: list[ComputedTraitsVersion]
    next: str | None


# --- sync


class SyncItem(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """One entity that changed; `version` is the log position that last changed its body. `ref` names a
    persona in all its items, also in the delete of one whose `id` nobody knows any more, because its person
    was erased. A persona whose `ref` changes is another one, or lost what was said of it before. `erased`:
    nothing may be kept of it.
    """

    kind: Literal["mapper", "persona"]
    id: str
    version: int
    op: Literal["put", "delete"]
    body: Any = None
    ref: str | None = None
    erased: bool = False


class SyncAnswer(Answer, frozen=True, kw_only=True):
    """What changed since the caller's cursor, as of `position`, which was recorded at `asOf`; `next` is the
    cursor for the following call.

    `digest` is `sync_digest` of all that the client has now, and is there at the end of a full pull only.
    Rules are in the version `ruleLanguage` of their language, and know the time zones of `timeZoneData`, a
    version of `tzdata`.
    """

    epoch: UUID
    intent: Literal["full", "changes", "none"]
    items: list[SyncItem]
    next: str
    has_more: bool
    up_to_date: bool
    as_of: datetime
    position: int
    valid_until: datetime
    digest: str | None
    rule_language: int
    time_zone_data: str


def sync_digest(entities: Iterable[tuple[str, str, int]]) -> str:
    """SHA-256, in hexadecimal, of entities as (kind, id, version): of each a line of the three, with tabs
    between and a newline at the end, in UTF-8; the lines sorted by their bytes."""
    lines = (f"{kind}\t{id_}\t{version}\n".encode() for kind, id_, version in entities)
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


class SyncedTrait(TraitFact, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A trait with what its confidence is computed from, at whatever instant it is asked for."""

    samples: int = 0
    source: str = ""
    pinned: bool = False
    truncated: bool = False
    evidence_changed: bool = False
    evidence: tuple[UUID, ...] = ()


class SyncedCore(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """A core; without `generatedAt` it is one that is not cached, but composed whenever it is asked for."""

    summary: str
    traits: dict[str, SyncedTrait]
    source: Literal["composed", "model"]
    generated_at: datetime | None = None
    cost: ModelUse | None = None


class SyncedPersona(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """A persona as the SDK caches it: enough to map offline with the answer the service would give.

    Rules see the core, and over it the overlay. `changedTraits` are why the core is stale. `learned` are the
    persona's own multipliers, by mapper and rule; 1 where a rule is not named. `consentedTo` are the purposes
    that all its people have consented to.
    """

    id: str
    people: list[str]
    core: SyncedCore
    overlay: dict[str, SyncedTrait]
    is_stale: bool
    core_version: int
    mindscape_versions: dict[str, int]
    name: str = ""
    uses: list[str] | None = None
    stale_since: datetime | None = None
    changed_traits: list[str] = []
    learned: dict[str, dict[str, float]] = {}
    consented_to: list[str] = []


class SyncedMapper(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """A mapper as the SDK caches it. `learned` multiplies weights, by rule; 1 where a rule is not named.
    `ruleLanguage` is the version of the language that it takes to map with it. With `consent` `required`, a
    persona is mapped only where the document says `purposes`, and all of them are in its `consentedTo`."""

    id: str
    version: int
    hash: str
    document: dict[str, Any]
    learned: dict[str, float] = {}
    rule_language: int = 1
    consent: ConsentPolicyName = "off"


class PushItem(Request, frozen=True, kw_only=True):
    """One thing that happened: `body` is an Observation or a Feedback without what stands here already (`id`,
    `occurredAt`, and `key`, which is `personId` or `personaId`). `schema` is the version of the body's shape.
    """

    id: UUID
    kind: ItemKind
    key: PersonaId
    occurred_at: Instant
    body: dict[str, Any]
    schema: Literal[1] = 1


class Push(Request, frozen=True, kw_only=True):
    """What a client kept in its outbox, oldest first."""

    client_id: ClientId
    items: Annotated[list[PushItem], Meta(max_length=500)]


class PushResult(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """The fate of one item: `stored` and `duplicate` are for good, `rejected` is never taken, `retry` may
    be later; `problem` says why.
    """

    status: WriteStatus
    position: int | None = None
    problem: Problem | None = None


class PushAnswer(Answer, frozen=True, kw_only=True):
    """The fate of each item, by its id, and the log that it is in."""

    epoch: UUID
    results: dict[str, PushResult]


# --- health and problems


class Health(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """`checks` says of each part what was seen. `status` is degraded when streams are quarantined (they
    stand still, and all others go on), or when the database does not keep tenants apart by itself."""

    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, str] = {}


class FaultAt(Answer, frozen=True, kw_only=True):
    """One fault of a request: an RFC 6901 JSON pointer into the body, and a sentence."""

    pointer: str
    message: str


class Problem(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """An error, as RFC 9457 has it. `type` is stable; `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultAt] = []


def _prepare() -> None:
    """msgspec prepares a type when it is first used. A thread that uses one which another thread is still at
    crashes the process (0.22), so all are prepared here, where the import lets nobody else in."""
    for shape in (*Request.__subclasses__(), *Answer.__subclasses__(), SyncedTrait):
        msgspec.json.Decoder(shape)


_prepare()
