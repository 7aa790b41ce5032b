"""The one error of the embedded PostgreSQL."""

from __future__ import annotations

from personakit_sdk.errors import PersonaKitError


class PostgresUnavailable(PersonaKitError):
    """The embedded PostgreSQL cannot be found, started or reached; the sentence says what to change."""
