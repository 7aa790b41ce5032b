"""The cases of the rule language, run by the command line and by a service: all give the engine's verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from litestar.testing import TestClient

from personakit.agents.service import Service
from personakit.api.app import create_app
from personakit.cli.main import personakit
from personakit.domain.events import MindscapeUpdated
from personakit.domain.mapper import publish
from personakit.domain.mindscape import EMPTY, evolve
from personakit.domain.publishing import Provenance
from personakit.domain.traits import Trait
from personakit.eventlog.access import create_key
from personakit.eventlog.stored import StreamId
from personakit.eventlog.streams import Loaded
from personakit_sdk.rules import compile_mapper
from tests.integration.conftest import Client, follow
from tests.rules.case_documents import Evidence, Said, evidence, said, spoiled
from tests.unit.rules.mapper_cases import CASES, listed, load, mapper, rule

TENANT = "default"
SAID = said()
EVIDENCE = evidence()
SPOILED = [spoiled(case) for case in SAID if case.at is None and "tests" in case.document]
FILES = {"conditions", "forms", "operators", "outcome", "refusals", "templates", "time"}


def test_every_case_is_run_one_way_or_the_other() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} == FILES
    cases = {name: len(list(listed(name, "cases"))) for name in ("conditions", "templates", "time")}
    cases["operators"] = len(list(listed("operators", "comparisons")))
    cases |= {name: len(load(name)) for name in ("outcome", "refusals")}
    cases["forms"] = 2 * len(load("forms"))
    assert len(SAID) + len(EVIDENCE) == sum(cases.values())
    # Only what rests on evidence: a test of a document gives traits that are certain.
    assert 5 < len(EVIDENCE) < 15
    assert all("confidence" in case.name for case in EVIDENCE)


def verdicts(folder: Path, cases: list[Said]) -> list[dict[str, Any]]:
    """What `personakit mappers test` says of each."""
    paths = []
    for number, case in enumerate(cases):
        path = folder / f"{number}.json"
        path.write_bytes(msgspec.json.encode(case.document))
        paths.append(str(path))
    done = CliRunner().invoke(personakit, ["mappers", "test", "--json", *paths], catch_exceptions=False)
    told: list[dict[str, Any]] = msgspec.json.decode(done.stdout)
    assert done.exit_code == (1 if any(one.get("faults") for one in told) else 0)
    assert [one["file"] for one in told] == paths
    return told


def test_the_command_line_gives_every_verdict(tmp_path: Path) -> None:
    for case, told in zip(SAID, verdicts(tmp_path, SAID), strict=True):
        check(case, told.get("faults", []), told.get("tests", []))


def test_the_command_line_sees_every_case_that_is_spoiled(tmp_path: Path) -> None:
    for case, told in zip(SPOILED, verdicts(tmp_path, SPOILED), strict=True):
        assert [one["passed"] for one in told["tests"]] == [False], case.name
        assert [fault["pointer"] for fault in told["faults"]] == [case.at]


@pytest.fixture(scope="module")
def open_client(quiet: Service) -> Iterator[Client]:
    key = create_key(quiet.recorder, TENANT, "test")
    with TestClient(create_app(quiet), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


def test_the_service_gives_every_verdict(open_client: Client) -> None:
    for case in [*SAID, *SPOILED]:
        answer = open_client.post("/mappers/validate", json=case.document)
        assert answer.status_code == 200, (case.name, answer.text)
        told = answer.json()
        assert told["valid"] is (case.at is None), (case.name, told)
        if "tests" in case.document and case.at and case.at.startswith("/tests/") and told["tests"]:
            assert [one["passed"] for one in told["tests"]] == [False]
        else:
            check(case, told["faults"], told["tests"])


def check(case: Said, faults: list[dict[str, Any]], tests: list[dict[str, Any]]) -> None:
    """A case that is taken passes its test; one that is refused is so where and as it says."""
    if case.at is None:
        assert faults == [], (case.name, faults)
        assert [one["passed"] for one in tests] == [True] * len(case.document.get("tests", [])), case.name
    else:
        found = [fault for fault in faults if fault["pointer"] == case.at and case.says in fault["message"]]
        assert found, (case.name, faults)


@pytest.mark.parametrize("number", range(len(EVIDENCE)), ids=[case.name for case in EVIDENCE])
def test_what_rests_on_evidence_is_decided_by_the_service_as_it_says(
    quiet: Service, open_client: Client, number: int
) -> None:
    case, name = EVIDENCE[number], f"case-{number}"
    believe(quiet, name, case)
    document = mapper(rule(conditions=case.condition))
    document["metadata"] = document["metadata"] | {"id": name}
    plan = compile_mapper(document)
    quiet.mappers.change(TENANT, name, lambda state: publish(state, plan, "active", Provenance("test")))
    follow(quiet)
    asked = {"mapperId": name, "personaId": name, "at": case.at}
    answer = open_client.post("/map-persona", json=asked).json()
    assert [each["ruleId"] for each in answer["suggestions"]] == (["only"] if case.holds else [])


def believe(service: Service, person: str, case: Evidence) -> None:
    """Writes the traits of a case into a person's mindscape."""
    surrogate = service.people.register(TENANT, [person])[person].surrogate
    update = MindscapeUpdated(
        traits={path: trait(value) for path, value in case.traits.items()},
        derivation="computed",
        definition="x",
        read_through=0,
    )
    stream = StreamId(TENANT, "mindscape", surrogate)
    service.streams.update(stream, Loaded(EMPTY, 0), evolve, lambda _: update, person=surrogate)


def trait(value: Any) -> Trait:
    given = value["fact"] if isinstance(value, dict) and value.keys() == {"fact"} else {"value": value}
    return msgspec.convert({"volatility": "high", "source": "test", **given}, Trait)
