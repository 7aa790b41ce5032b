"""What is read of the log and the operational tables for one tenant names it, besides the policies."""

from __future__ import annotations

import re
from pathlib import Path

import personakit
from personakit.eventlog.log_sql import SQL

SOURCES = Path(personakit.__file__).parent.rglob("*.py")
READ = re.compile(r'(?:\blog_rows\(|\brows_of\(tenant, )"(\w+)"')


def test_every_query_that_is_asked_for_a_tenant_names_it() -> None:
    asked = {name for path in SOURCES for name in READ.findall(path.read_text(encoding="utf-8"))}
    assert asked > {"alive", "topics_about", "listed"}
    assert {name for name in asked if "tenant = %(tenant)s" not in SQL[name]} == set()
