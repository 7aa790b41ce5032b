"""Explaining a mapper in a file on facts in another: no service is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import personakit
from personakit.cli.mappers.persona_facts import facts_of
from personakit_sdk import wire
from personakit_sdk.rules.facts import confidence

MAPPER = r"""
metadata: {id: small, version: 1.2.0, description: For a test}
required_traits: [role]
conditions:
  busy: {context_check: {field: meetings, operator: greater, value: 3}}
rules:
  - id: quiet
    conditions: {any: [{not: {condition: busy}}, {condition: busy}]}
    actions: [{generate_suggestion: {type: note, title: Quiet, description: Now.}}]
    priority: 1
  - id: named
    conditions: {trait_check: {path: role, operator: equals, value: maker, min_confidence: 0.5}}
    actions:
      - generate_suggestion:
          {type: note, title: "{who}", description: Hi., parameters: {who: {from_trait: name}}}
  - id: early
    conditions:
      all:
        - time_check: {period: morning, day_of_week: [mon]}
        - context_check: {field: say, operator: exists}
    actions: [{generate_suggestion: {type: note, title: Early, description: Up.}}]
    weight: 2
  - id: off
    enabled: false
    conditions: {condition: busy}
    actions: [{generate_suggestion: {type: note, title: Off, description: No.}}]
"""
GIVEN = """
traits: {role: maker}
context: {meetings: 2, say: "a\\e[31mb"}
at: 2026-03-02T09:00:00Z
timezone: Europe/Berlin
learned: {early: 0.5}
"""
TOLD = """\
small 1.2.0 for GIVEN, 2026-03-02T09:00:00+00:00
fired  quiet: score 1 = weight 1 * learned 1, priority 1
├── ✓ any
│   ├── ✓ not
│   │   └── ✗ condition busy
│   │       └── ✗ context meetings > 3: saw 2
│   └── ✗ condition busy
└── made    note: It came 1.
fired  named: score 1 = weight 1 * learned 1, priority 0
├── ✓ trait role = "maker": saw "maker", confidence 1 of 0.5 needed
└── dropped note: The parameter 'who' has no value and no default.
fired  early: score 1 = weight 2 * learned 0.5, priority 0
├── ✓ all
│   ├── ✓ time period morning, day of week ["monday"]: it was monday 10:00, morning, in Europe/Berlin
│   └── ✓ context say exists: saw "a\\u001b[31mb"
└── cut     note: It came 3. and the limit was 2.
silent off: It is disabled.
└── ✗ condition busy
3 of 4 rules fired.
"""
Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def explain(*arguments: str) -> Result:
    result = CliRunner().invoke(personakit, ["mappers", "explain", *arguments], prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_each_rule_says_why_with_what_its_conditions_saw(write: Write) -> None:
    given = write(GIVEN, "given.yaml")
    result = explain(write(MAPPER, "m.yaml"), "--given", given, "--limit", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.replace(given, "GIVEN") == TOLD


def test_options_change_what_is_given_and_what_is_shown(write: Write) -> None:
    file, given = write(MAPPER, "m.yaml"), write("traits: {}", "given.yaml")
    options = ("--context", "meetings=9", "--context", '{"say": 1}', "--at", "2026-03-03T09:00:00Z")
    result = explain(file, "--given", given, "--rule", "early", *options)
    assert "Required and not known: role" in result.stdout
    assert "✗ time period morning" in result.stdout
    assert "it was tuesday 09:00, morning, in UTC" in result.stdout
    assert "named" not in result.stdout
    assert "0 of 1 rules fired." in result.stdout


def test_programs_get_the_explanation(write: Write) -> None:
    told = msgspec.json.decode(
        explain(write(MAPPER, "m.yaml"), "--given", write(GIVEN, "g.yaml"), "--json").stdout
    )
    assert told["mapper"] == "small"
    assert [rule["fired"] for rule in told["explanation"]["rules"]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "with --person, or give the facts with --given"),
        (("--person", "ada", "--given", "GIVEN"), 2, "with --person, or give the facts with --given"),
        (("--given", "GIVEN", "--rule", "nothing"), 2, "small has no rule 'nothing'"),
        (("--given", "GIVEN", "--timezone", "Europe/Berln"), 2, "no IANA time zone"),
        (
            ("--given", "WRONG"),
            1,
            "wrong.yaml:2:8: /trait: the key 'trait' is not known; did you mean 'traits'?",
        ),
        (("--given", "LIST"), 1, "list.yaml: it must be an object"),
    ],
)
def test_what_cannot_be_explained_says_why(
    write: Write, arguments: tuple[str, ...], code: int, said: str
) -> None:
    named = {
        "GIVEN": write(GIVEN, "given.yaml"),
        "WRONG": write("\ntrait: {a: 1}\n", "wrong.yaml"),
        "LIST": write("- 1\n", "list.yaml"),
    }
    result = explain(write(MAPPER, "m.yaml"), *(named.get(each, each) for each in arguments))
    assert result.exit_code == code
    assert said in result.stderr


def test_a_mapper_of_the_service_takes_no_given_facts_and_a_bad_file_tells_its_faults(write: Write) -> None:
    given = write(GIVEN, "given.yaml")
    assert "--given goes with a FILE" in explain("work_rhythm", "--given", given).stderr
    bad = write(MAPPER.replace("enabled: false", "enabled: 'no'"), "bad.yaml")
    result = explain(bad, "--given", given)
    assert result.exit_code == 1
    assert "bad.yaml:24:14: /rules/3/enabled: it must be true or false, not a text" in result.stderr


@pytest.mark.parametrize("believed", [0.0, 0.0001, 0.4, 0.7135, 0.9999, 1.0])
def test_facts_of_a_persona_are_believed_as_it_says(believed: float) -> None:
    trait = wire.Trait(
        value=1,
        confidence=believed,
        volatility="low",
        samples=3,
        last_observed_at=None,
        source="s",
        pinned=False,
        truncated=False,
        evidence_changed=False,
        evidence=[],
    )
    core = wire.Core(summary="", traits={"slow": trait}, source="composed", generated_at=AT)
    persona = wire.Persona(
        id="a", people=["a"], core=core, overlay={"fast": trait}, is_stale=False, core_version=1
    )
    facts = facts_of(persona)
    assert {path: confidence(fact, AT) for path, fact in facts.items()} == {
        "slow": believed,
        "fast": believed,
    }


AT = msgspec.convert("2026-03-02T09:00:00Z", wire.Instant)
