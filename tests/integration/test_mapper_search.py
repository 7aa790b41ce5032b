"""Mappers are found by what is in their rules, through an index."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import sql

from personakit.agents.mappers import mapper_stream
from personakit.agents.service import Service
from personakit.domain.events import MapperPublished
from personakit.eventlog.appender import NewEvent, wait
from personakit.projections import builds
from personakit_sdk.rules import compile_mapper
from tests.integration.conftest import Client
from tests.mapper_documents import check, mapper, suggest

MANY = 4000


def document(id_: str, *conditions: dict[str, Any], type_: str = "t", **sections: Any) -> dict[str, Any]:
    rules = [suggest(f"r{n}", 1.0, type_, **condition) for n, condition in enumerate(conditions)]
    return {**mapper(id_), "rules": rules, **sections}


DOCUMENTS = [
    document("deep", {"all": [{"any": [{"not": check("work.focus.p90", "greater", value=1)}]}]}),
    document("equal", check("work.focus", "equals", value=1), type_="break"),
    document("both", check("work.focus"), check("other", "greater", value=1)),
    document("named", {"condition": "n"}, conditions={"n": check("named.path", "in", value=["a"])}),
    document("escaped", check("git\\.dir.size", "less", value=1)),
    document(
        "constant", check("other", "equals", value={"trait_check": {"path": "hidden", "operator": "in"}})
    ),
    document("trait_check", check("x"), conditions={"trait_check": {"time_check": {"period": "night"}}}),
]


@pytest.fixture(scope="module", autouse=True)
def published(client: Client) -> None:
    for each in DOCUMENTS:
        answer = client.post("/mappers", json=each)
        assert answer.status_code == 201, answer.text
    client.post("/mappers", params={"status": "draft"}, json=document("draft", check("work.focus")))
    client.post("/mappers", json=document("gone", check("work.focus")))
    client.delete("/mappers/gone")


def found(client: Client, **query: str) -> list[str]:
    answer = client.get("/mappers", params=query)
    assert answer.status_code == 200
    shipped = {"work_rhythm", "learning_coach", "wellbeing_companion"}
    return [item["id"] for item in answer.json()["items"] if item["id"] not in shipped]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({"trait": "work.focus"}, ["both", "deep", "draft", "equal"]),
        ({"trait": "work"}, ["both", "deep", "draft", "equal"]),
        ({"trait": "work.focus.p90"}, ["deep"]),
        ({"trait": "work.foc"}, []),
        ({"trait": "work.focus", "operator": "greater"}, ["deep"]),
        ({"trait": "work.focus", "status": "draft"}, ["draft"]),
        ({"trait": "work.focus", "status": "deprecated"}, ["gone"]),
        ({"trait": "work.focus", "suggestionType": "break"}, ["equal"]),
        ({"operator": "less"}, ["escaped"]),
        ({"operator": "in"}, ["named"]),
        ({"trait": "named"}, ["named"]),
        ({"trait": "git\\.dir"}, ["escaped"]),
        ({"trait": "git"}, []),
        ({"trait": "hidden"}, []),
        ({"suggestionType": "break"}, ["equal"]),
        ({"suggestionType": "nothing"}, []),
        ({"trait": "work.focus", "limit": "2"}, ["both", "deep"]),
        ({"trait": "work.focus", "after": "deep"}, ["draft", "equal"]),
    ],
)
def test_mappers_are_found_by_what_is_in_their_rules(
    client: Client, query: dict[str, str], ids: list[str]
) -> None:
    assert found(client, **query) == ids


def test_a_weight_changes_nothing_that_a_mapper_is_found_by(client: Client) -> None:
    assert client.patch("/mappers/equal/rules/r0", json={"weight": 2}).is_success
    assert found(client, suggestionType="break") == ["equal"]
    shorter = document("equal", check("elsewhere"), type_="walk")
    assert client.put("/mappers/equal", json=shorter).is_success
    assert found(client, suggestionType="break") == []
    assert found(client, trait="elsewhere", suggestionType="walk") == ["equal"]


@pytest.fixture(scope="module")
def many(service: Service) -> str:
    """Thousands of mappers of another tenant, of which few look at any one trait; the tenant."""
    events = []
    for n in range(MANY):
        made = compile_mapper(document(f"m{n:05}", check(f"area{n % 800}.trait", "greater", value=n)))
        event = MapperPublished(
            mapper_id=made.mapper_id, document=made.document, hash=made.hash, status="active", origin="t"
        )
        events.append(NewEvent(mapper_stream("many", made.mapper_id), 1, event))
    for start in range(0, MANY, 500):
        appended = wait(service.appender.append(events[start : start + 500]))
    service.until_shown(appended[-1].position, 60)
    return "many"


def plan(service: Service, tenant: str, facets: str, status: str | None) -> str:
    """How PostgreSQL answers the query, in its own words."""
    projection = service.projections["mappers"]
    query = "EXPLAIN (COSTS OFF) " + projection.queries["list_by_facets"]
    values = {"tenant": tenant, "facets": facets, "status": status, "after": "", "limit": 50}
    with service.pool.connection() as connection, connection.transaction():
        schema = sql.Identifier(str(builds.active(connection, projection)))
        connection.execute(sql.SQL("ANALYZE {}.mappers").format(schema))
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(schema))
        rows = connection.execute(query, values).fetchall()
    return "\n".join(row["QUERY PLAN"] for row in rows)


@pytest.mark.parametrize("status", [None, "active"])
@pytest.mark.parametrize(
    "facets",
    ['[{"trait": "area7"}]', '[{"trait": "area7.trait", "operator": "greater"}]', '[{"operator": "less"}]'],
)
def test_an_index_finds_them_among_thousands(
    service: Service, many: str, facets: str, status: str | None
) -> None:
    assert "Bitmap Index Scan on mappers_facets" in plan(service, many, facets, status)
    with service.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows(
            "mappers.list_by_facets", tenant=many, facets=facets, status=status, after="", limit=50
        )
    assert len(rows) == (0 if "less" in facets else MANY // 800)
