"""Consent: what a person lets their persona be mapped for, and whether a tenant's mapping takes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from personakit.domain.events import ConsentChanged, ConsentPolicyChanged, Event
from personakit.domain.publishing import Provenance, require_match
from personakit_sdk.wire import ConsentPolicyName


class Consent(msgspec.Struct, frozen=True):
    """What somebody consents to; `version` counts how often that changed, and at 0 nothing was ever said."""

    purposes: frozenset[str] = frozenset()
    reason: str = ""
    version: int = 0


class Policy(msgspec.Struct, frozen=True):
    """A tenant's policy; `version` counts how often it was set."""

    policy: ConsentPolicyName = "off"
    reason: str = ""
    version: int = 0


NEVER_ASKED: Final = Consent()
NEVER_SET: Final = Policy()


def evolve(state: Consent, event: Event) -> Consent:
    """The consent after an event of the person's stream, in which there are others too."""
    if isinstance(event, ConsentChanged):
        return Consent(frozenset(event.purposes), event.reason, state.version + 1)
    return state


def change(
    state: Consent,
    purposes: Collection[str],
    by: Provenance,
    *,
    if_match: Collection[str] | None = None,
) -> ConsentChanged | None:
    """The event after which somebody consents to these purposes and no others; None where that was said last,
    in the same words. Raises PreconditionFailed where the caller saw another version: of a repeat, whose
    first time made one, nothing is asked."""
    if state.version and state.purposes == frozenset(purposes) and state.reason == by.reason:
        return None
    require_match(str(state.version), if_match, "consent of this person")
    return ConsentChanged(purposes=tuple(sorted(set(purposes))), origin=by.origin, reason=by.reason)


def to_all(consents: Iterable[Collection[str]]) -> frozenset[str]:
    """The purposes that everybody has consented to; none where there is nobody."""
    each = [frozenset(purposes) for purposes in consents]
    return frozenset.intersection(*each) if each else frozenset()


def set_policy(state: Policy, event: ConsentPolicyChanged) -> Policy:
    """The policy after an event of its stream, in which there is nothing else."""
    return Policy(event.policy, event.reason, state.version + 1)


def change_policy(state: Policy, policy: ConsentPolicyName, by: Provenance) -> ConsentPolicyChanged | None:
    """The event that sets the policy; None where it is so already. A tenant that never set it may say `off`,
    so that the log has it."""
    if state.version and (state.policy, state.reason) == (policy, by.reason):
        return None
    return ConsentPolicyChanged(policy=policy, origin=by.origin, reason=by.reason)
