"""Rederiving: what other rules would change is what they do change, and nothing is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.agents.mindscaper import Mindscaper
from personakit.agents.rederive import Rederived, Rederiver
from personakit.agents.service import Service
from personakit.agents.tenant_rules import TenantRules
from personakit.cli.main import personakit
from personakit.cli.mindscapes import told
from personakit.domain.publishing import Provenance
from personakit.domain.trait_tests import accept_traits
from personakit.eventlog.everybody import Known
from personakit.shipped import computed_traits_dir
from personakit_sdk import wire
from personakit_sdk.rules.yaml import load_yaml
from tests.integration.conftest import follow
from tests.postgres import MASTER_KEY_TEXT, url_of

TENANT = "default"
START = datetime(2026, 3, 2, 19, tzinfo=UTC)
PEOPLE = ("ada", "bob", "eve")


def documents() -> dict[str, dict[str, Any]]:
    return {path.stem: load_yaml(path.read_bytes()) for path in sorted(computed_traits_dir().glob("*.yaml"))}


def other_document() -> dict[str, Any]:
    """Without the languages, with the smallest commit, and with commits of merges counted too."""
    document = documents()["code_commit"]
    kept = [trait for trait in document["traits"] if trait["path"] != "work.languages"]
    smallest = {"path": "work.smallest", "from": "lines_changed", "aggregate": "min", "volatility": "low"}
    for trait in kept:
        if trait["path"] == "work.commit_size":
            del trait["when"]
    return {**document, "traits": [*kept, smallest]}


def other_rules() -> TenantRules:
    return TenantRules([*(documents() | {"code_commit": other_document()}).values()])


@pytest.fixture(scope="module")
def known(quiet: Service) -> Service:
    for index, person in enumerate(PEOPLE):
        observations = [
            wire.Observation(
                id=uuid4(),
                person_id=person,
                type="note" if person == "eve" else "code_commit",
                content={"lines_changed": 10 + n, "languages": ["Python"], "merge": index == 1 and n > 4},
                occurred_at=START + timedelta(hours=n),
            )
            for n in range(10)
        ]
        quiet.intake.record(TENANT, observations)
    follow(quiet)
    for person in everybody(quiet):
        quiet.mindscaper.derive(TENANT, person.surrogate)
    follow(quiet)
    return quiet


def everybody(service: Service) -> list[Known]:
    found = [(name, service.people.find(TENANT, name)) for name in PEOPLE]
    return [Known(name, person.surrogate) for name, person in found if person is not None]


def traits(service: Service) -> dict[str, dict[str, Any]]:
    """What is shown of everybody: values by person and path."""
    with service.reader.snapshot_of_all() as snapshot:
        rows = {
            person.id: snapshot.row("mindscapes.by_person", tenant=TENANT, person=person.surrogate)
            for person in everybody(service)
        }
    return {
        name: {path: trait["value"] for path, trait in row["traits"].items()} if row else {}
        for name, row in rows.items()
    }


def test_the_same_rules_change_nothing(known: Service) -> None:
    found = Rederiver(known.rules.shipped).run(known.reader, TENANT, everybody(known))
    assert (found.people, found.differing, found.observations, found.paths) == (3, 0, 30, [])
    assert told(found) == ["3 people, 30 observations: 0 mindscapes would differ. It cost nothing."]


def test_what_would_change_is_told_by_path_and_nothing_is_written(known: Service) -> None:
    head = known.reader.head()
    found = Rederiver(other_rules().shipped).run(known.reader, TENANT, everybody(known))
    counts = {each.path: (each.came, each.changed, each.went) for each in found.paths}
    assert counts == {
        "work.commit_size": (0, 1, 0),  # of the one who merges
        "work.languages": (0, 0, 2),
        "work.smallest": (2, 0, 0),
    }
    assert found.differing == 2
    assert all(each.material == sum(counts[each.path]) for each in found.paths)
    (smallest, _) = [each for each in found.examples if each.path == "work.smallest"]
    assert (smallest.before, smallest.after, smallest.kind) == (None, 10, "came")
    assert known.reader.head() == head


def run(database: str, *arguments: str) -> Result:
    environ = {"PERSONAKIT_DATABASE_URL": url_of(database), "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT}
    return CliRunner().invoke(personakit, ["mindscapes", "rederive", *arguments], env=environ)


def test_the_command_takes_documents_and_a_person(known: Service, database: str, tmp_path: Path) -> None:
    file = tmp_path / "commits.yaml"
    file.write_bytes(msgspec.json.encode(other_document()))
    done = run(database, "--with", str(file), "--json")
    assert done.exit_code == 0, done.output
    found = msgspec.json.decode(done.stdout, type=Rederived)
    assert (found.people, found.differing) == (3, 2)
    shown = run(database, "--with", str(file), "--person", "bob").stdout
    assert "1 people, 10 observations: 1 mindscapes would differ" in shown
    assert "work.smallest: comes for 1, materially for 1" in shown
    assert "work.smallest of bob: nothing -> 10" in shown
    nobody = run(database, "--person", "nobody")
    assert nobody.exit_code == 2
    assert "Nothing is known of" in nobody.output
    file.write_text("[1]")
    assert "no computed-trait document" in run(database, "--with", str(file)).output


def test_applying_needs_documents_for_everybody_and_a_yes(
    known: Service, database: str, tmp_path: Path
) -> None:
    head = known.reader.head()
    file = tmp_path / "commits.json"
    file.write_bytes(msgspec.json.encode(other_document()))
    for arguments in (["--apply"], ["--apply", "--with", str(file), "--person", "bob"]):
        refused = run(database, *arguments)
        assert (refused.exit_code, "leave --person out" in refused.output) == (2, True)
    no = run(database, "--apply", "--with", str(file))  # nothing is said: that is no
    assert no.exit_code == 1
    assert "Publish these rules" in no.stderr
    assert known.reader.head() == head


def test_what_was_told_is_what_happens_when_the_rules_are_changed(known: Service) -> None:
    before = traits(known)
    found = Rederiver(other_rules().shipped).run(known.reader, TENANT, everybody(known))
    for person in everybody(known):
        Mindscaper(known.reader, known.streams, other_rules()).derive(TENANT, person.surrogate)
    follow(known)
    after = traits(known)
    different = {
        (path, person)
        for person in PEOPLE
        for path in before[person].keys() | after[person].keys()
        if before[person].get(path) != after[person].get(path)
    }
    assert {(each.path, each.person_id) for each in found.examples} == different


def test_a_tenants_own_rules_are_what_the_command_begins_with(known: Service, database: str) -> None:
    """Last here: from now on the tenant has rules of its own."""
    document = accept_traits(other_document())
    known.trait_documents.publish(TENANT, document, Provenance("test"), known=False)
    follow(known)
    for person in everybody(known):
        known.mindscaper.derive(TENANT, person.surrogate)
    follow(known)
    assert traits(known)["bob"]["work.smallest"] == 10
    done = run(database, "--json")
    assert done.exit_code == 0, done.output
    assert msgspec.json.decode(done.stdout, type=Rederived).differing == 0
