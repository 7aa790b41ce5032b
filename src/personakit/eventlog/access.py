"""Who may come in: tenants and API keys. A key is shown once and kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import Connection
from psycopg.rows import DictRow

from personakit.domain.grant import SCOPES, Grant, Limits
from personakit.domain.rate import Rate
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput, PersonaKitError

PREFIX_LENGTH = 11
CHANNEL: Final = "api_keys"
"""Where PostgreSQL tells of a key that is revoked or ends sooner."""
MOST_OVERLAP: Final = timedelta(seconds=wire.MOST_OVERLAP_SECONDS)
_KEY = re.compile(r"pk_[A-Za-z0-9_-]{43}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class TenantInvalid(PersonaKitError):
    """A tenant cannot be made or found under this name."""


class KeyUnknown(PersonaKitError):
    """The tenant has no such key."""


class KeyOver(PersonaKitError):
    """The key is revoked or has expired, so that there is nothing to rotate."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; `prefix` is how it begins, and names it."""

    prefix: str
    tenant: str
    name: str
    grant: Grant
    created_at: datetime
    expires_at: datetime | None
    overlap_until: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    rate: Rate | None = None

    @property
    def ends_at(self) -> datetime | None:
        """When its time is over: as it was made, or as a rotation left it."""
        return min((end for end in (self.expires_at, self.overlap_until) if end is not None), default=None)

    def shown(self) -> wire.ApiKey:
        """The key as callers see it."""
        limits = self.grant.limits
        return wire.ApiKey(
            id=self.prefix,
            name=self.name,
            scopes=[scope for scope in SCOPES if scope in self.grant.scopes],
            people=None if limits is None else sorted(limits.people),
            personas=None if limits is None else sorted(limits.personas),
            created_at=self.created_at,
            expires_at=self.expires_at,
            ends_at=self.ends_at,
            last_used_at=self.last_used_at,
            revoked_at=self.revoked_at,
            rate=None
            if self.rate is None
            else wire.KeyRate(requests=self.rate.requests, items=self.rate.items),
        )


class Spent(NamedTuple):
    """What a key has spent in all processes, ever."""

    prefix: str
    requests: int
    items: int


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made, and its secret, which is kept nowhere."""

    secret: str
    key: ApiKey

    def shown(self) -> wire.CreatedKey:
        """What is answered once."""
        return wire.CreatedKey(secret=self.secret, key=self.key.shown())


def create_tenant(recorder: LogRecorder, tenant: str, name: str) -> bool:
    """Makes a tenant; False when it is there already. Raises TenantInvalid for a bad id."""
    if not _TENANT.fullmatch(tenant):
        raise TenantInvalid(
            f"{tenant!r} cannot be a tenant's id; use 1 to 63 of a-z, 0-9 and -, not beginning with -."
        )
    with recorder.datastore.get_connection() as connection:
        return bool(connection.execute(SQL["add_tenant"], {"tenant": tenant, "name": name}).rowcount)


def create_key(recorder: LogRecorder, tenant: str, name: str) -> str:
    """The secret of a new key that may do everything. Raises TenantInvalid for an unknown tenant."""
    return grant_key(recorder, tenant, name, Grant()).secret


def grant_key(
    recorder: LogRecorder,
    tenant: str,
    name: str,
    grant: Grant,
    expires_at: datetime | None = None,
    rate: Rate | None = None,
) -> NewKey:
    """A new API key of a tenant: `pk_` and 256 random bits. Without `rate` it goes as fast as is usual.
    Raises TenantInvalid for an unknown tenant."""
    with recorder.datastore.get_connection() as connection:
        if connection.execute(SQL["tenant"], {"tenant": tenant}).fetchone() is None:
            raise TenantInvalid(
                f"There is no tenant {tenant!r}; make it with: personakit tenants create {tenant}"
            )
        return _add(connection, tenant, name, grant, expires_at, rate)


def rotate_key(recorder: LogRecorder, tenant: str, prefix: str, overlap: timedelta, now: datetime) -> NewKey:
    """A new key with the name, the grant, the end and the rate of another, which itself ends after `overlap`.

    Raises InvalidInput for an overlap beyond MOST_OVERLAP, KeyUnknown, and KeyOver.
    """
    if not timedelta(0) <= overlap <= MOST_OVERLAP:
        raise InvalidInput(
            f"Two keys overlap for at most {MOST_OVERLAP.days} days, and not less than none.",
            (Fault("/overlapSeconds", "out of range"),),
        )
    with recorder.datastore.get_connection() as connection, connection.transaction():
        connection.execute(SQL["keep_all"])  # so that none is struck between the two
        old = _found(connection, "key_of_tenant", tenant, prefix)
        values = {"tenant": tenant, "prefix": prefix, "now": now, "until": now + overlap}
        if connection.execute(SQL["rotate_key"], values).fetchone() is None:
            raise KeyOver(f"The key {prefix!r} is revoked or has expired; create a new one.")
        return _add(connection, tenant, old.name, old.grant, old.expires_at, old.rate)


def revoke_key(recorder: LogRecorder, tenant: str, prefix: str) -> ApiKey:
    """The key, which opens nothing any more. Raises KeyUnknown."""
    with recorder.datastore.get_connection() as connection:
        return _found(connection, "revoke_key", tenant, prefix)


def list_keys(recorder: LogRecorder, tenant: str, after: str, limit: int) -> list[ApiKey]:
    """A tenant's keys by their prefixes, revoked and expired ones too."""
    return [key_in(row) for row in recorder.rows_of(tenant, "keys_of_tenant", after=after, limit=limit)]


def note_used(connection: Connection[Any], used: Mapping[str, datetime]) -> None:
    """Keeps when keys, by their prefixes, were used last."""
    connection.execute(SQL["keys_used"], {"prefixes": list(used), "times": list(used.values())})


def add_spent(connection: Connection[Any], spent: Mapping[str, tuple[int, int]]) -> Iterator[Spent]:
    """Adds requests and items, by the prefixes of keys, to what they have spent; what that is now."""
    counts = list(spent.values())
    values = {
        "prefixes": list(spent),
        "requests": [requests for requests, _ in counts],
        "items": [items for _, items in counts],
    }
    return map(Spent._make, connection.execute(SQL["add_spent"], values).fetchall())


def any_key_opens(recorder: LogRecorder) -> bool:
    """Whether there is a key, of any tenant, that opens something now."""
    with recorder.datastore.get_connection() as connection:
        return connection.execute(SQL["any_key"]).fetchone() is not None


def is_secret(text: str) -> bool:
    """Whether a key could have this secret."""
    return _KEY.fullmatch(text) is not None


def key_of(recorder: LogRecorder, secret: str) -> ApiKey | None:
    """The key with this secret, expired or not; None for a secret that opens nothing, or was revoked."""
    if not is_secret(secret):
        return None
    with recorder.datastore.get_connection() as connection:
        row = connection.execute(SQL["key"], {"prefix": secret[:PREFIX_LENGTH]}).fetchone()
    if row is None or not hmac.compare_digest(bytes(row["hash"]), _hash(secret)):
        return None
    return key_in(row)


def _add(
    connection: Connection[DictRow],
    tenant: str,
    name: str,
    grant: Grant,
    expires_at: datetime | None,
    rate: Rate | None,
) -> NewKey:
    secret = f"pk_{secrets.token_urlsafe(32)}"
    limits = grant.limits
    values = {
        "prefix": secret[:PREFIX_LENGTH],
        "tenant": tenant,
        "hash": _hash(secret),
        "name": name,
        "scopes": [scope for scope in SCOPES if scope in grant.scopes],
        "people": None if limits is None else sorted(limits.people),
        "personas": None if limits is None else sorted(limits.personas),
        "expires_at": expires_at,
        "requests_rate": rate and rate.requests,
        "items_rate": rate and rate.items,
    }
    row = connection.execute(SQL["add_key"], values).fetchone()
    if row is None:
        raise LookupError("A key that was added gave no answer.")
    return NewKey(secret, key_in(row))


def _found(connection: Connection[DictRow], query: str, tenant: str, prefix: str) -> ApiKey:
    row = connection.execute(SQL[query], {"tenant": tenant, "prefix": prefix}).fetchone()
    if row is None:
        raise KeyUnknown(f"There is no key {prefix!r}; GET /keys lists those there are.")
    return key_in(row)


def key_in(row: DictRow) -> ApiKey:
    """The key in a row of `api_keys`."""
    scopes: list[wire.KeyScope] = row["scopes"]
    limits = None if row["people"] is None else Limits(frozenset(row["people"]), frozenset(row["personas"]))
    return ApiKey(
        prefix=row["prefix"],
        tenant=row["tenant"],
        name=row["name"],
        grant=Grant(frozenset(scopes), limits),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        overlap_until=row["overlap_until"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
        rate=None if row["requests_rate"] is None else Rate(row["requests_rate"], row["items_rate"]),
    )


def _hash(secret: str) -> bytes:
    """One SHA-256: a key of 256 random bits needs no slow hash."""
    return hashlib.sha256(secret.encode()).digest()
