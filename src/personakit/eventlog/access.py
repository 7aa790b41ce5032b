"""Who may come in: tenants and API keys. A key is shown once and kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

import msgspec

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.recorder import LogRecorder
from personakit_sdk.errors import PersonaKitError

PREFIX_LENGTH = 11
_KEY = re.compile(r"pk_[A-Za-z0-9_-]{43}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class TenantInvalid(PersonaKitError):
    """A tenant cannot be made or found under this name."""


def create_tenant(recorder: LogRecorder, tenant: str, name: str) -> bool:
    """Makes a tenant; False when it is there already. Raises TenantInvalid for a bad id."""
    if not _TENANT.fullmatch(tenant):
        raise TenantInvalid(
            f"{tenant!r} cannot be a tenant's id; use 1 to 63 of a-z, 0-9 and -, not beginning with -."
        )
    with recorder.datastore.get_connection() as connection:
        return bool(connection.execute(SQL["add_tenant"], {"tenant": tenant, "name": name}).rowcount)


def create_key(recorder: LogRecorder, tenant: str, name: str) -> str:
    """A new API key of a tenant: `pk_` and 256 random bits. Raises TenantInvalid for an unknown tenant."""
    key = f"pk_{secrets.token_urlsafe(32)}"
    values = {"prefix": key[:PREFIX_LENGTH], "tenant": tenant, "hash": _hash(key), "name": name}
    with recorder.datastore.get_connection() as connection:
        if connection.execute(SQL["tenant"], {"tenant": tenant}).fetchone() is None:
            raise TenantInvalid(
                f"There is no tenant {tenant!r}; make it with: personakit tenants create {tenant}"
            )
        connection.execute(SQL["add_key"], values)
    return key


class Holder(msgspec.Struct, frozen=True):
    """Whose a key is: the tenant that it opens, and the name that it was given."""

    tenant: str
    key_name: str


def holder_of(recorder: LogRecorder, key: str) -> Holder | None:
    """Whose the key is, or None for a key that opens nothing."""
    if not _KEY.fullmatch(key):
        return None
    with recorder.datastore.get_connection() as connection:
        row = connection.execute(SQL["key"], {"prefix": key[:PREFIX_LENGTH]}).fetchone()
    if row is None or not hmac.compare_digest(bytes(row["hash"]), _hash(key)):
        return None
    return Holder(row["tenant"], row["name"])


def tenant_of(recorder: LogRecorder, key: str) -> str | None:
    """The tenant that a key opens, or None for a key that opens nothing."""
    holder = holder_of(recorder, key)
    return None if holder is None else holder.tenant


def _hash(key: str) -> bytes:
    """One SHA-256: a key of 256 random bits needs no slow hash."""
    return hashlib.sha256(key.encode()).digest()
