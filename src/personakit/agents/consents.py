"""Commands on consent: what a person says of it, and a tenant's policy, whoever else says something."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

from personakit.domain.consent import (
    NEVER_ASKED,
    NEVER_SET,
    Consent,
    Policy,
    change,
    change_policy,
    evolve,
    set_policy,
)
from personakit.domain.events import ConsentChanged, ConsentPolicyChanged
from personakit.domain.publishing import Provenance
from personakit.eventlog.people import People
from personakit.eventlog.person_keys import PersonErased
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded, Streams
from personakit.projections.read import Reader, Snapshot
from personakit_sdk.wire import ConsentPolicyName

_POLICY: Final = UUID("c2a7d1be-51a4-4a0e-9d0b-8a1f1c6b7e42")


class Consents:
    """Appends to people's streams what they consent to, and to a tenant's own its policy."""

    def __init__(self, reader: Reader, streams: Streams, people: People) -> None:
        self._reader = reader
        self._streams = streams
        self._people = people

    def change(
        self,
        tenant: str,
        person_id: str,
        purposes: Collection[str],
        by: Provenance,
        *,
        if_match: Collection[str] | None = None,
    ) -> int | None:
        """Lets a person consent to these purposes and no others; somebody who is not known yet is from here
        on. The event's position, or None where it was said already. Raises PreconditionFailed, PersonErased.
        """
        registered = self._people.register(tenant, [person_id]).get(person_id)
        if registered is None:
            raise PersonErased
        person = registered.surrogate

        def decide(state: Consent) -> ConsentChanged | None:
            return change(state, purposes, by, if_match=if_match)

        stream, start = person_stream(tenant, person), self._consent(tenant, person)
        return self._streams.update(stream, start, evolve, decide, person=person).position

    def set_policy(self, tenant: str, policy: ConsentPolicyName, by: Provenance) -> int | None:
        """Sets a tenant's policy; the event's position, or None where it is so already."""

        def decide(state: Policy) -> ConsentPolicyChanged | None:
            return change_policy(state, policy, by)

        stream, start = policy_stream(tenant), self._policy(tenant)
        return self._streams.update(stream, start, set_policy, decide).position

    def _consent(self, tenant: str, person: UUID) -> Loaded[Consent]:
        with self._reader.snapshot(tenant) as snapshot:
            row = snapshot.row("consents.of_people", tenant=tenant, people=[person])
        return Loaded(_consent_in(row), row["latest"]) if row else Loaded(NEVER_ASKED, 0)

    def _policy(self, tenant: str) -> Loaded[Policy]:
        with self._reader.snapshot(tenant) as snapshot:
            state = policy_in(snapshot, tenant)
        return Loaded(state, state.version)


def consents_of(snapshot: Snapshot, tenant: str, people: Sequence[UUID]) -> dict[UUID, frozenset[str]]:
    """What each of these people consents to."""
    rows = snapshot.rows("consents.of_people", tenant=tenant, people=list(people))
    found = {row["person"]: frozenset(row["purposes"]) for row in rows}
    return {person: found.get(person, frozenset()) for person in people}


def policy_in(snapshot: Snapshot, tenant: str) -> Policy:
    """A tenant's policy."""
    row = snapshot.row("consents.policy", tenant=tenant)
    return Policy(row["policy"], row["reason"], row["version"]) if row else NEVER_SET


def person_stream(tenant: str, person: UUID) -> StreamId:
    """The stream of a person: that they are known, and what they consent to."""
    return StreamId(tenant, "person", person)


def policy_stream(tenant: str) -> StreamId:
    """The stream of a tenant's policy on consent."""
    return StreamId(tenant, "consent_policy", uuid5(_POLICY, tenant))


def _consent_in(row: dict[str, Any]) -> Consent:
    return Consent(frozenset(row["purposes"]), row["reason"], row["version"])
