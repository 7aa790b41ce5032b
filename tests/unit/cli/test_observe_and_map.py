"""Recording one observation, and asking for suggestions, at the command line."""

from __future__ import annotations

from typing import Any

import msgspec
from click.testing import CliRunner, Result

from personakit.cli.main import personakit

SINCE = "2026-01-05T10:00:00+00:00"
ANSWER: dict[str, Any] = {
    "persona": {
        "id": "ann",
        "core": {"summary": "", "traits": {}, "source": "composed", "generatedAt": "2026-01-05T10:00:00Z"},
        "isStale": True,
        "coreVersion": 1,
        "staleSince": SINCE,
    },
    "suggestions": [],
    "mapper": {"id": "daily_focus", "version": 4, "hash": "h"},
    "missingTraits": ["work.energy"],
    "freshness": {
        "position": 41,
        "mindscapeVersions": {"ann": 3},
        "derivedThrough": {"ann": {"computed": 40}},
    },
    "regenerate": {
        "href": "/personas/ann/regenerate",
        "estimate": {"inputTokens": 0, "outputTokens": 0, "usd": 0.0},
    },
}
SUGGESTION: dict[str, Any] = {
    "id": "sug_1",
    "ruleId": "deep_work",
    "type": "task",
    "title": "Deep [bold]work[/bold]",
    "description": "Block 90 minutes\x1b[31m now.",
    "priority": "high",
    "weight": 1.0,
    "learned": 1.1,
    "score": 1.1,
    "parameters": {},
    "because": [],
}
ID = "00000000-0000-0000-0000-000000000007"


def run(service, *arguments: str) -> Result:
    environ = {"PERSONAKIT_URL": service.url, "PERSONAKIT_API_KEY": "pk_test"}
    result = CliRunner().invoke(personakit, arguments, env=environ, prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_an_observation_is_sent_with_an_id_a_time_and_typed_values(service) -> None:
    service.answers["/observations"] = (201, {"id": ID, "position": 7, "status": "stored"})
    at = ("--at", "2026-01-05T10:00:00+01:00", "--id", ID)
    result = run(service, "observe", "--person", "ann", "--type", "check_in", *at, "energy=4", "note=so so")
    assert (result.exit_code, result.stdout) == (0, f"stored at position 7 as {ID}\n")
    assert msgspec.json.decode(service.seen[0][2]) == {
        "id": ID,
        "personId": "ann",
        "type": "check_in",
        "occurredAt": "2026-01-05T10:00:00+01:00",
        "content": {"energy": 4, "note": "so so"},
    }


def test_content_may_be_given_as_json_and_what_is_none_is_a_usage_error(service) -> None:
    service.answers["/observations"] = (201, {"id": ID, "position": 7, "status": "stored"})
    observe = ("observe", "--person", "ann", "--type", "check_in", "--json-content")
    assert run(service, *observe, '{"deep": {"er": [1]}}', "--json").stdout.startswith('{"id":')
    assert msgspec.json.decode(service.seen[0][2])["content"] == {"deep": {"er": [1]}}
    for refused in ("[1]", "{", "text"):
        assert run(service, *observe, refused).exit_code == 2
    assert run(service, "observe", "--person", "ann", "--type", "No Type").exit_code == 2
    assert run(service, "observe", "--person", "ann", "--type", "note", "novalue").exit_code == 2
    assert len(service.seen) == 1


def test_suggestions_are_shown_with_their_rule_and_nothing_steers_the_terminal(service) -> None:
    service.answers["/map-persona"] = (200, ANSWER | {"suggestions": [SUGGESTION]})
    result = run(service, "map", "daily_focus", "ann", "--context", "place=office", "--limit", "3")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Deep [bold]work[/bold] (high, score 1.10, rule deep_work)",
        "  Block 90 minutes[31m now.",
        "Not known yet: work.energy.",
        f"The persona's core is stale since {SINCE}; POST /personas/ann/regenerate makes a fresh one.",
        "daily_focus, version 4, at position 41.",
    ]
    asked = msgspec.json.decode(service.seen[0][2])
    assert asked == {
        "mapperId": "daily_focus",
        "personaId": "ann",
        "context": {"place": "office"},
        "limit": 3,
    }


def test_no_suggestion_is_said_so_and_an_explanation_is_shown_when_asked_for(service) -> None:
    service.answers["/map-persona"] = (
        200,
        ANSWER | {"explanation": {"rules": [{"id": "deep_work", "fired": False}]}},
    )
    result = run(service, "map", "daily_focus", "ann", "--explain")
    assert result.stdout.startswith("No rule fired.\n")
    assert '"fired": false' in result.stdout


def test_what_is_withheld_is_said_with_its_reason(service) -> None:
    withheld = {"purposes": ["wellbeing"], "reason": "Nobody asked."}
    service.answers["/map-persona"] = (200, ANSWER | {"missingTraits": [], "withheld": withheld})
    told = run(service, "map", "daily_focus", "ann", "--explain").stdout
    assert told.startswith("Nothing is mapped. Nobody asked.\n")
    assert "No rule fired" not in told


def test_the_raw_answer_is_for_programs(service) -> None:
    service.answers["/map-persona"] = (200, ANSWER)
    assert msgspec.json.decode(run(service, "--json", "map", "daily_focus", "ann").stdout) == ANSWER


def test_a_persona_that_the_service_does_not_know_is_exit_1(service) -> None:
    refusal = {
        "type": "/problems/not-found",
        "title": "No",
        "status": 404,
        "detail": "There is no persona 'bob'.",
    }
    service.answers["/map-persona"] = (404, refusal)
    result = run(service, "map", "daily_focus", "bob")
    assert (result.exit_code, result.stderr) == (1, "personakit: There is no persona 'bob'.\n")


def test_what_cannot_be_asked_is_a_usage_error_before_anything_is_sent(service) -> None:
    assert run(service, "map", "daily_focus", "not a persona").exit_code == 2
    assert run(service, "map", "daily_focus", "ann", "--detail-level", "loud").exit_code == 2
    assert service.seen == []
