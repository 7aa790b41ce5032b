"""A local PostgreSQL for the embedded default: found on this machine, run by us, reached by socket only."""

from __future__ import annotations

from personakit.embedded.errors import PostgresUnavailable
from personakit.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "PostgresUnavailable"]
