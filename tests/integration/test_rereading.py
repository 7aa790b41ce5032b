"""A model reads all free text again, aside: at a price that is told, within the budget, promoted once or
not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.agents.rederive import Rederived
from personakit.agents.rereader import Rereader
from personakit.agents.service import Service
from personakit.cli import rereading
from personakit.cli.main import personakit
from personakit.domain.events import PersonaDefined
from personakit.domain.mindscape import Pin
from personakit.eventlog.everybody import everybody
from tests.history import TENANT, observation, surrogate
from tests.integration.asked_model import (
    USD_A_CALL,
    asking,
    events,
    infer,
    inferrer,
    last_completed,
    mindscape,
    note,
    reads_interests,
    shown_ids,
    spent,
    write,
)
from tests.integration.conftest import follow
from tests.messages_api import Asked, MessagesApi, Reply, failure, message, messages_api
from tests.postgres import MASTER_KEY_TEXT, url_of

CLIMBING = "I would love to go climbing again"
SWIMMING = "Now I would rather swim every day"


@pytest.fixture(scope="module")
def server() -> Iterator[MessagesApi]:
    with messages_api() as server:
        yield server


@pytest.fixture
def api(server: MessagesApi) -> MessagesApi:
    server.forget()
    server.answer = reads_interests()
    return server


@pytest.fixture(scope="module")
def one_service(database: str, server: MessagesApi) -> Iterator[Service]:
    with asking(database, server) as service:
        yield service


@pytest.fixture
def asked(one_service: Service, api: MessagesApi) -> Service:
    """The service, and nothing asked yet."""
    return one_service


def rereader(service: Service) -> Rereader:
    assert service.inference is not None
    return service.inference.rereader


def read_once(service: Service, api: MessagesApi, person: str) -> None:
    """Somebody about whom a model said that they climb; now another one would say that they swim."""
    write(service, note(person, CLIMBING), observation(person, 1), note(person, SWIMMING, 1))
    service.mindscaper.derive(TENANT, surrogate(service, person))
    follow(service)
    infer(service, person)
    api.forget()
    api.answer = reads_interests("interests.swimming")


def run(database: str, api: MessagesApi, *arguments: str, **environ: str) -> Result:
    environment = {
        "PERSONAKIT_DATABASE_URL": url_of(database),
        "PERSONAKIT_MASTER_KEY": MASTER_KEY_TEXT,
        "PERSONAKIT_ANTHROPIC_API_KEY": "sk-test",
        "PERSONAKIT_ANTHROPIC_BASE_URL": api.url,
        "PERSONAKIT_MODEL": "claude-test",
        "PERSONAKIT_MODEL_PRICES": "1/5/0.1/1.25",
    }
    command = ["mindscapes", "rederive", "--with", "model", *arguments]
    return CliRunner().invoke(personakit, command, env=environment | environ)


def found_in(done: Result) -> Rederived:
    assert done.exit_code == 0, done.output
    return msgspec.json.decode(done.stdout.splitlines()[0], type=Rederived)


def test_what_would_change_is_told_with_the_price_before_and_after_and_only_the_cost_is_kept(
    asked: Service, database: str, api: MessagesApi
) -> None:
    read_once(asked, api, "aside")
    before, already = mindscape(asked, "aside"), spent(asked)
    done = run(database, api, "--person", "aside", "--yes")
    assert done.exit_code == 0, done.output
    assert "Expected: 1 calls, " in done.stderr
    assert "1 people, 2 observations: 1 mindscapes would differ." in done.stdout
    assert f"It cost {USD_A_CALL:.4f} USD: 1 calls, 1,000 tokens in and 200 out." in done.stdout
    assert "interests.swimming of aside: nothing -> true" in done.stdout
    assert "interests.climbing of aside: true -> nothing" in done.stdout
    assert mindscape(asked, "aside") == before
    assert spent(asked) - already == pytest.approx(USD_A_CALL)
    assert [event.originator_version for event in events(asked, "derivation.rereading", "aside")] == [1]


def test_the_model_is_shown_all_texts_and_nothing_that_a_model_made_of_them_before(
    asked: Service, database: str, api: MessagesApi
) -> None:
    ids = write(asked, *[note("much", f"{CLIMBING}, number {n}, " * 6, n) for n in range(7)])
    infer(asked, "much")
    api.forget()
    api.answer = reads_interests("interests.swimming")
    done = run(database, api, "--person", "much", "--yes", "--json", PERSONAKIT_MODEL_CALL_TOKENS="200")
    found = found_in(done)
    assert (found.observations, found.calls) == (7, api.calls)
    assert api.calls > 2
    assert [each for body in api.asked for each in shown_ids(body)] == [str(id_) for id_ in ids]
    told = [body["messages"][0]["content"] for body in api.asked]
    assert not any("interests.climbing" in each for each in told)
    assert ["interests.swimming" in each for each in told] == [False] + [True] * (api.calls - 1)
    assert f"Expected: {api.calls} calls, " in done.stderr


def test_what_is_promoted_is_one_version_and_nothing_is_due_or_paid_twice(
    asked: Service, database: str, api: MessagesApi
) -> None:
    read_once(asked, api, "promoted")
    write(asked, note("promoted", "And this nobody has read yet", 2))
    before, already = mindscape(asked, "promoted"), spent(asked)
    done = run(database, api, "--person", "promoted", "--yes", "--apply")
    assert "1 promoted." in done.stdout, done.output
    after = mindscape(asked, "promoted")
    assert after["version"] == before["version"] + 1
    assert {path for path in after["traits"] if path.startswith("interests")} == {"interests.swimming"}
    assert after["traits"]["work.commits"] == before["traits"]["work.commits"]
    assert spent(asked) - already == pytest.approx(USD_A_CALL)
    assert infer(asked, "promoted") is None
    (version, _) = asked.past.trait(TENANT, surrogate(asked, "promoted"), "interests.climbing", limit=9)
    assert "read all free text again through position" in version.reason

    again = run(database, api, "--person", "promoted", "--yes", "--apply")
    assert "0 mindscapes would differ" in again.stdout
    assert mindscape(asked, "promoted") == after


def test_promoting_twice_is_promoting_once(asked: Service, api: MessagesApi) -> None:
    read_once(asked, api, "twice")
    found = rereader(asked).reread(TENANT, surrogate(asked, "twice"))
    assert found is not None
    assert rereader(asked).promote(found) is not None
    assert rereader(asked).promote(found) is None
    assert len(events(asked, "mindscape", "twice")) == 3
    assert events(asked, "derivation.anthropic", "twice") == []


def test_reading_again_to_the_same_end_says_only_how_far_was_read(asked: Service, api: MessagesApi) -> None:
    write(asked, note("same", CLIMBING))
    api.answer = lambda _: message('{"traits": []}')
    found = rereader(asked).reread(TENANT, surrogate(asked, "same"))
    assert found is not None
    assert found.change is None
    assert rereader(asked).promote(found) is not None
    assert last_completed(asked, "same").read_through == found.shadow.through
    assert last_completed(asked, "same").use is None
    assert infer(asked, "same") is None


def test_what_changes_before_it_is_promoted_counts_over_the_shadow(asked: Service, api: MessagesApi) -> None:
    """Somebody pins, takes a text back, and the service reads on: all of it stays."""
    read_once(asked, api, "raced")
    person = surrogate(asked, "raced")
    (gone,) = write(asked, note("raced", "I also like to bake bread", 2))

    def answer(body: Asked) -> Reply:
        first, *_ = shown_ids(body)
        made = [
            ("interests.swimming", [first]),
            ("interests.baking", [str(gone)]),
            ("diet", [first]),
            ("interests.climbing", [first]),
        ]
        traits = [
            {"path": path, "value": "much", "confidence": 0.5, "volatility": "low", "evidence": evidence}
            | {"reason": "So they say."}
            for path, evidence in made
        ]
        return message(msgspec.json.encode({"traits": traits}).decode())

    api.answer = answer
    found = rereader(asked).reread(TENANT, person)
    assert found is not None
    asked.curator.pin(TENANT, person, "diet", Pin("vegan", "low", "told", "key: me"))
    asked.retractions.retract(TENANT, gone, "not mine")
    api.answer = reads_interests("interests.climbing", value="new")
    write(asked, note("raced", "Climbing again today, and I loved it", 3))
    infer(asked, "raced")
    newest = last_read(asked, "raced")
    version = mindscape(asked, "raced")["version"]
    assert rereader(asked).promote(found) is not None
    follow(asked)
    row = mindscape(asked, "raced")
    traits = {path: trait["value"] for path, trait in row["traits"].items() if not path.startswith("work")}
    assert traits == {"interests.climbing": "new", "interests.swimming": "much"}
    assert row["version"] == version + 1
    assert last_read(asked, "raced") == newest > found.shadow.through


def last_read(service: Service, person: str) -> int:
    return int(mindscape(service, person)["derivations"]["anthropic"]["read_through"])


def test_nothing_is_spent_without_a_yes(
    asked: Service, database: str, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_once(asked, api, "unasked")
    head = asked.reader.head()
    refused = run(database, api, "--person", "unasked")
    assert (refused.exit_code, "say --yes" in refused.output) == (2, True)
    monkeypatch.setattr(rereading, "on_terminal", lambda: True)
    no = run(database, api, "--person", "unasked")  # nothing is said: that is no
    assert (no.exit_code, "Ask the model?" in no.stderr) == (1, True)
    assert (api.calls, asked.reader.head()) == (0, head)


def test_a_yes_to_spending_is_no_yes_to_promoting(
    asked: Service, database: str, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_once(asked, api, "careful")
    before = mindscape(asked, "careful")
    monkeypatch.setattr(rereading, "on_terminal", lambda: True)
    monkeypatch.setattr("click.confirm", answers("Ask the model?"))
    no = run(database, api, "--person", "careful", "--apply")
    assert (no.exit_code, api.calls) == (1, 1)
    follow(asked)
    assert mindscape(asked, "careful") == before


def answers(*yes: str) -> Any:
    """A person who says yes to these questions only."""

    def confirm(question: str, **_: Any) -> bool:
        if question not in yes:
            raise click_abort()
        return True

    return confirm


def click_abort() -> Exception:

    return click.Abort()


def test_what_does_not_fit_into_the_budget_is_not_begun(
    asked: Service, database: str, api: MessagesApi
) -> None:
    read_once(asked, api, "poor")
    refused = run(database, api, "--person", "poor", "--yes", PERSONAKIT_MODEL_BUDGET_USD="0.0001")
    assert refused.exit_code == 1
    assert "left of today's budget" in refused.stderr
    assert api.calls == 0


@pytest.mark.parametrize("name", ["broken", "garbled"])
def test_where_the_model_gives_out_what_was_paid_is_recorded_and_who_was_read_is_told(
    name: str, asked: Service, database: str, api: MessagesApi
) -> None:
    reply = {"broken": failure(400, "invalid_request_error"), "garbled": message("I have been pwned.")}[name]
    read_once(asked, api, name)
    already = spent(asked)
    api.answer = lambda _: reply
    done = run(database, api, "--person", name, "--yes", "--apply")
    assert done.exit_code == 1
    assert f"From {name} on nobody was read." in done.stderr
    assert "0 people, 0 observations" in done.stdout
    paid = 0 if name == "broken" else api.calls * USD_A_CALL
    assert spent(asked) - already == pytest.approx(paid)
    assert "interests.climbing" in mindscape(asked, name)["traits"]


def test_who_is_being_read_by_the_service_is_left_out(
    asked: Service, database: str, api: MessagesApi
) -> None:
    read_once(asked, api, "busy")
    lease = asked.leases.take(TENANT, "inference", surrogate(asked, "busy"), 60)
    assert lease is not None
    done = run(database, api, "--person", "busy", "--yes")
    asked.leases.done(lease)
    assert (done.exit_code, api.calls) == (1, 0)
    assert "busy is being read by the service just now" in done.stderr


def test_while_it_reads_the_service_does_not(asked: Service, api: MessagesApi) -> None:
    read_once(asked, api, "alone")
    write(asked, note("alone", "And this nobody has read yet", 2))
    person = surrogate(asked, "alone")
    meanwhile: list[int | None] = []

    def while_asked(body: Asked) -> Reply:
        meanwhile.append(inferrer(asked).infer(TENANT, person))
        return reads_interests("interests.swimming")(body)

    api.answer = while_asked
    assert rereader(asked).reread(TENANT, person) is not None
    assert (meanwhile, api.calls) == ([None], 1)


def test_without_a_key_there_is_no_model_and_it_stands_alone(
    database: str, api: MessagesApi, tmp_path: Path
) -> None:
    none = run(database, api, "--yes", PERSONAKIT_ANTHROPIC_API_KEY="", ANTHROPIC_API_KEY="")
    assert (none.exit_code, "PERSONAKIT_ANTHROPIC_API_KEY" in none.output) == (2, True)
    file = tmp_path / "model.yaml"
    file.write_text("{}")
    both = run(database, api, "--yes", "--with", str(file))
    assert (both.exit_code, "stands alone" in both.output) == (2, True)


def test_everybody_is_read_and_created_personas_are_passed_over(
    asked: Service, database: str, api: MessagesApi
) -> None:
    read_once(asked, api, "one")
    read_once(asked, api, "another")
    asked.personas.create(TENANT, PersonaDefined(people=(surrogate(asked, "one"),), name="Views one"))
    done = run(database, api, "--yes", "--json", PERSONAKIT_MODEL_BUDGET_USD="1000")
    found = found_in(done)
    with asked.reader.snapshot_of_all() as snapshot:
        rows = snapshot.rows("model_use.totals")
    assert any(row["agent"] == "rereading" for row in rows)
    assert found.people == sum(not each.id.startswith("~") for each in everybody(asked.recorder, TENANT))
    assert found.calls == api.calls
    assert found.usd == pytest.approx(api.calls * USD_A_CALL)
