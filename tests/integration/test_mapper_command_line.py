"""The commands on mappers of a service, from push to withdraw, against a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import personakit
from personakit_sdk.wire import MapAnswer
from tests.postgres import data_dir
from tests.processes import Installation, installation

FOCUS = """metadata: {id: daily_focus, version: 1.0.0, description: When to do deep work}
rules:
  - id: rested
    conditions: {trait_check: {path: mood.level, operator: greater, value: 3}}
    actions: [{generate_suggestion: {type: task, title: Deep work, description: Now.}}]
  - id: noon
    conditions: {condition: at_noon}
    actions: [{generate_suggestion: {type: task, title: Lunch, description: Eat.}}]
conditions:
  at_noon: {context_check: {field: clock, operator: equals, value: noon}}
"""
HEAVIER = FOCUS.replace("version: 1.0.0", "version: 1.1.0").replace("value: 3}}", "value: 4}}\n    weight: 2")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def installed() -> Iterator[Installation]:
    with data_dir() as folder, installation(folder) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def run(installed: Installation) -> Run:
    key = (installed.data_dir / "api-key").read_text().strip()
    environ = {
        "PERSONAKIT_URL": f"http://127.0.0.1:{installed.port}",
        "PERSONAKIT_API_KEY": key,
        "PERSONAKIT_DATA_DIR": str(installed.data_dir),
    }

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(personakit, ["mappers", *arguments], env=environ)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    return run


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(text: str, name: str = "focus.yaml") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="module", autouse=True)
def pushed(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("mappers") / "focus.yaml"
    path.write_text(FOCUS)
    result = run("push", "--reason", "the first", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{path}: daily_focus version 1 published, active\n")


def test_what_a_file_changes_is_told_rule_by_rule_and_is_exit_1(run: Run, file: Any) -> None:
    changed = HEAVIER.replace("  - id: noon", "  - id: midday")
    result = run("diff", file(changed))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "--- daily_focus version 1",
        f"+++ {file(changed)}",
        "- rule noon",
        "+ rule midday",
        "~ rule rested",
        "    /conditions/all/0/trait_check/value: 3 -> 4",
        "    /weight: 1.0 -> 2.0",
        "~ elsewhere",
        '    /metadata/version: "1.0.0" -> "1.1.0"',
    ]


def test_no_difference_is_exit_0(run: Run, file: Any) -> None:
    result = run("diff", file("# the same\n" + FOCUS))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "mean the same" in result.stdout
    assert run("diff", file(FOCUS), file(FOCUS, "other.yaml")).exit_code == 0


def test_a_mapper_that_the_service_has_not_is_all_new(run: Run, file: Any) -> None:
    told = msgspec.json.decode(run("diff", "--json", file(FOCUS.replace("daily_focus", "new_one"))).stdout)
    assert told["before"] == "no mapper new_one"
    assert told["rules"]["added"] == ["rested", "noon"]


@pytest.mark.parametrize(
    "targets", [("daily_focus",), ("daily_focus", "1"), ("a.yaml", "b", "c"), ("x.yaml",)]
)
def test_what_cannot_be_compared_is_exit_2(run: Run, targets: tuple[str, ...]) -> None:
    result = run("diff", *targets)
    assert result.exit_code == 2
    assert "one FILE, two FILEs, or ID and two versions" in result.stderr


def test_weights_versions_publish_and_withdraw(run: Run, file: Any) -> None:
    heavier = run("weight", "daily_focus", "rested", "--by", "0.5", "--reason", "people like it")
    assert heavier.stdout == "daily_focus version 2, active: the rule rested weighs 1.5\n"
    assert "weighs 3.0" in run("weight", "daily_focus", "rested", "--to", "3").stdout
    compared = run("diff", "daily_focus", "1", "3")
    assert "    /weight: 1.0 -> 3.0" in compared.stdout
    assert compared.exit_code == 1
    back = run("publish", "daily_focus", "1", "--reason", "too heavy")
    assert back.stdout == "daily_focus version 4, active: as version 1 was\n"
    gone = run("withdraw", "daily_focus", "--reason", "done with")
    assert gone.stdout.startswith("daily_focus version 5, deprecated")
    versions = run("versions", "daily_focus", "--json").stdout
    items = msgspec.json.decode(versions)["items"]
    assert [item["change"] for item in items] == ["withdrawn", "restored", "weight", "weight", "published"]
    assert [item["reason"] for item in items] == ["done with", "too heavy", "", "people like it", "the first"]
    table = run("versions", "daily_focus", "--limit", "2").stdout
    assert "restored from 1 by " in table
    assert "too heavy" in table
    assert "the first" not in table
    assert run("publish", "daily_focus", "1").exit_code == 0


def test_a_condition_on_what_was_seen_last_holds_or_is_exit_1(run: Run, file: Any) -> None:
    path = file(FOCUS.replace("daily_focus", "guarded"))
    pushed = msgspec.json.decode(run("push", "--json", path).stdout)
    stale = run("push", "--if-match", "somethingelse", file(HEAVIER.replace("daily_focus", "guarded")))
    assert stale.exit_code == 1
    assert "has changed" in stale.stderr
    fresh = run("push", "--if-match", pushed["hash"], file(HEAVIER.replace("daily_focus", "guarded")))
    assert (fresh.exit_code, fresh.stdout) == (0, f"{path}: guarded version 2, active\n")
    assert run("withdraw", "guarded", "--if-match", pushed["hash"]).exit_code == 1
    assert run("push", "--if-match", "x", path, path).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [("weight", "daily_focus", "rested"), ("weight", "daily_focus", "rested", "--to", "1", "--by", "1")],
)
def test_a_weight_needs_one_of_to_and_by(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_what_is_not_there_is_exit_1_and_what_is_no_id_exit_2(run: Run) -> None:
    assert run("versions", "nothing").exit_code == 1
    assert run("publish", "daily_focus", "999").exit_code == 1
    assert run("weight", "daily_focus", "nothing", "--to", "1").exit_code == 1
    assert run("withdraw", "../people").exit_code == 2


def test_a_mapper_of_the_service_explains_itself(run: Run, installed: Installation) -> None:
    observe(installed, "ada")
    told = run(
        "explain", "daily_focus", "--person", "ada", "--context", '{"clock": "noon"}', "--at", AT
    ).stdout
    assert told.splitlines()[0].startswith("daily_focus ")
    assert " for ada, 2026-03-02T09:00:00+00:00" in told
    assert "fired  noon: score 1 = weight 1 * learned 1, priority 0" in told
    assert '✓ context clock = "noon": saw "noon"' in told
    assert "silent rested: Its conditions do not hold." in told
    assert "✗ trait mood.level > 3: missing" in told
    assert "1 of 2 rules fired." in told


def test_a_file_explains_itself_on_a_persona_of_the_service_as_the_service_would(
    run: Run, installed: Installation, file: Any
) -> None:
    observe(installed, "bob")
    believed = FOCUS.replace("daily_focus", "of_moods").replace("mood.level", "wellbeing.mood")
    path = file(believed.replace("value: 3}", "value: 1, min_confidence: 0.01}"))
    assert run("push", path).exit_code == 0
    now = datetime.now(UTC).isoformat()
    options = ("--person", "bob", "--context", "clock=noon", "--at", now, "--timezone", "UTC", "--json")
    here = msgspec.json.decode(run("explain", path, *options).stdout)
    there = msgspec.json.decode(run("explain", "of_moods", *options).stdout)
    [rested, noon] = here["explanation"]["rules"]
    assert rested["conditions"]["conditions"][0]["confidence"] > 0
    assert (rested["fired"], noon["fired"]) == (True, True)
    assert here["explanation"] == there["explanation"]
    assert any("confidences are those of now" in each for each in here["remarks"])


AT = "2026-03-02T09:00:00Z"


def observe(installed: Installation, person: str) -> None:
    """Enough check-ins that there are traits, and a wait until they show."""
    transport = installed.transport(patience=5.0)
    position = 0
    for day in range(1, 9):
        body = {
            "personId": person,
            "type": "check_in",
            "content": {"mood": 2, "energy": 2, "stress": 5},
            "occurredAt": datetime.now(UTC) - timedelta(hours=day),
        }
        headers = {"Idempotency-Key": f"{person}-{day}"}
        reply = transport.request("POST", "/observations", body=body, headers=headers)
        position = msgspec.json.decode(reply.body)["position"]
    transport.request("GET", f"/personas/{person}", headers={"PersonaKit-Min-Position": str(position)})


TAUGHT = """metadata: {id: taught, version: 1.0.0, description: What feedback teaches}
rules:
  - id: liked
    conditions: {not: {context_check: {field: never, operator: exists}}}
    actions: [{generate_suggestion: {type: t, title: Liked, description: D}}]
  - id: disliked
    conditions: {not: {context_check: {field: never, operator: exists}}}
    actions: [{generate_suggestion: {type: t, title: Disliked, description: D}}]
feedback_settings: {publishing: propose}
"""


def test_what_was_learned_is_shown_approved_frozen_thawed_and_rolled_back(
    run: Run, file: Any, installed: Installation
) -> None:
    assert run("push", file(TAUGHT)).exit_code == 0
    transport = installed.transport(patience=5.0)
    for person in ("ada", "bo"):
        seen = {"personId": person, "type": "note", "content": {}, "occurredAt": "2026-03-02T09:00:00Z"}
        transport.request("POST", "/observations", body=seen, idempotent=False)
        for rule, helpful in (("liked", True), ("disliked", False)):
            for _ in range(4):
                said = {"mapperId": "taught", "ruleId": rule, "personaId": person, "helpful": helpful}
                last = transport.request("POST", "/feedback", body=said, idempotent=False)
    shown = {"PersonaKit-Min-Position": last.headers["PersonaKit-Position"]}
    transport.request("GET", "/mappers", headers=shown)
    proposed = run("weights", "taught").stdout.splitlines()
    assert proposed[0] == "taught version 1, publishing propose"
    assert proposed[2].split() == ["1", "1", "|", "8.0", "91%", "2", "liked", "(->", "1.1", "proposed)"]
    changed = run("approve", "taught", "--seen", "liked=1.3", "--seen", "disliked=0.9")
    assert changed.exit_code == 1
    assert "it is now: disliked 0.9, liked 1.1" in changed.stderr
    assert run("approve", "taught", "--seen", "liked").exit_code == 2
    approved = run("approve", "taught", "liked", "--seen", "liked=1.1", "--reason", "they like it").stdout
    assert ">|" not in approved
    assert "|>" in approved.splitlines()[2]
    assert approved.splitlines()[2].endswith("liked  (since version 2)")
    assert "frozen" in run("freeze", "taught", "disliked").stdout.splitlines()[3]
    thawed = run("thaw", "taught").stdout.splitlines()
    assert "frozen" not in thawed[3]
    history = thawed[thawed.index("History:") + 1 :]
    assert [line.split(maxsplit=3)[3] for line in history] == [
        "thawed",
        "frozen",
        "approved: liked 1.1 (they like it)",
    ]
    rolled = run("roll-back", "taught", "1", "--reason", "on second thoughts")
    assert "frozen, since version 5" in rolled.stdout.splitlines()[2]
    history = run("versions", "taught").stdout.splitlines()
    assert "rolled back from 1 by key: made by personakit up: on second thoughts" in history[0]
    assert "approved by key: made by personakit up: they like it" in history[3]
    explained = run("explain", "taught", "--person", "ada").stdout
    assert "learned 1 for all, by 8.0 votes of 2, 91% good" in explained
    wanted = {"mapperId": "taught", "personaId": "ada"}
    mapped = transport.request("GET", "/map-persona", query=wanted).decode(MapAnswer)
    why = installed.run("why", mapped.suggestions[0].id).stdout
    assert "learned 1 for all since version 5, by 8.0 votes of 2" in why
    assert run("weights", "nothing").exit_code == 1


def test_a_file_is_explained_with_what_the_service_has_learned(
    run: Run, file: Any, installed: Installation
) -> None:
    installed.transport().request("POST", "/mappers/taught/weights", body={"action": "thaw"}, idempotent=True)
    run("approve", "taught", "disliked")
    told = run("explain", file(TAUGHT), "--person", "ada").stdout
    assert "score 0.9 = weight 1 * learned 0.9" in told
