"""The SQL of the log, by name: `log.sql` beside this file."""

from __future__ import annotations

from pathlib import Path

from personakit.named_sql import queries

SQL = queries(Path(__file__).with_name("log.sql"))
