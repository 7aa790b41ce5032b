"""Checking mapper documents without a service, and pushing them to one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from personakit.cli.main import personakit

GOOD = """
metadata: {id: daily_focus, version: 1.2.0, description: When to do deep work}
rules:
  - id: deep_work
    conditions: {trait_check: {path: work.energy, operator: equals, value: high}}
    actions:
      - generate_suggestion: {type: task, title: Deep work, description: Do it now.}
    weight: 1.0
tests:
  - {name: fires when energy is high, given: {traits: {work.energy: high}}, expect: {rules: [deep_work]}}
  - {name: is silent otherwise, given: {traits: {work.energy: low}}, expect: {rules: []}}
"""
FAILING = GOOD.replace("{work.energy: low}", "{work.energy: high}")
BROKEN = GOOD.replace("operator: equals", "operator: equalz")


def run(*arguments: str, **environ: str) -> Result:
    result = CliRunner().invoke(personakit, ["mappers", *arguments], env=environ, prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str, name: str = "m.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_valid_mapper_is_said_to_be_valid(file) -> None:
    path = file(GOOD)
    result = run("validate", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: daily_focus 1.2.0 is valid, 2 tests pass\n")


def test_json_and_yaml_are_one_document(file) -> None:
    document = YAML(typ="safe", pure=True).load(GOOD)
    result = run("validate", file(msgspec.json.encode(document).decode(), "m.json"), file(GOOD))
    assert result.exit_code == 0
    assert result.stdout.count("daily_focus 1.2.0 is valid, 2 tests pass") == 2


def test_every_file_is_checked_and_one_that_is_not_valid_is_exit_1(file) -> None:
    result = run("validate", file(BROKEN, "broken.yaml"), file(GOOD))
    assert result.exit_code == 1
    assert "broken.yaml: not valid, 1 fault\n" in result.stdout
    place = "broken.yaml:5:61: /rules/0/conditions/trait_check/operator: the operator 'equalz' is not known; "
    assert f"{place}did you mean 'equals'?\n" in result.stdout
    assert "is valid, 2 tests pass" in result.stdout


def test_what_would_be_taken_but_looks_wrong_is_a_warning_and_exit_0(file) -> None:
    result = run("validate", file(GOOD + "templates: {idle: {title: Idle, description: Rest.}}\n"))
    assert result.exit_code == 0
    assert ":12:19: warning: /templates/idle: " in result.stdout


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "metadata: {id: x}", "\x00"])
def test_what_is_no_mapper_is_not_valid_and_no_traceback(file, text: str) -> None:
    assert run("validate", file(text)).exit_code == 1


def test_tests_are_shown_one_by_one_and_a_failing_one_is_exit_1(file) -> None:
    assert run("test", file(GOOD)).stdout.count("pass  ") == 2
    result = run("test", file(FAILING))
    assert result.exit_code == 1
    assert "FAIL  " in result.stdout
    assert "is silent otherwise" in result.stdout


def test_a_check_can_be_read_by_programs(file) -> None:
    [told] = msgspec.json.decode(run("test", file(FAILING), "--json").stdout)
    assert told["mapper"] == "daily_focus"
    assert [one["passed"] for one in told["tests"]] == [True, False]
    [fault] = told["faults"]
    assert (fault["pointer"], fault["line"], fault["column"]) == ("/tests/1", 11, 5)


def test_a_fault_of_a_json_file_has_its_place_too(file) -> None:
    document = YAML(typ="safe", pure=True).load(BROKEN)
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "equalz" in each)
    [told] = msgspec.json.decode(run("validate", "--json", file(text, "m.json")).stdout)
    assert [fault["line"] for fault in told["faults"]] == [line]


@pytest.mark.parametrize(("name", "text"), [("m.yaml", "a: [\n"), ("m.json", '{\n "a": ')])
def test_what_cannot_be_read_has_the_place_where_reading_ended(file, name: str, text: str) -> None:
    path = file(text, name)
    _, line = run("validate", path).stdout.splitlines()
    assert line.startswith(f"{path}:2:")


def test_a_pushed_mapper_is_sent_as_it_is_written(file, service) -> None:
    mapper = {"id": "daily_focus", "version": 1, "status": "active", "document": {}, "hash": "h"}
    service.answers["/mappers"] = (201, mapper | {"createdAt": "2026-01-05T10:00:00Z", "origin": "uploaded"})
    path = file(GOOD)
    result = run("push", path, PERSONAKIT_URL=service.url, PERSONAKIT_API_KEY="pk_test")
    assert (result.exit_code, result.stdout) == (0, f"{path}: daily_focus version 1 published, active\n")
    assert service.seen == [("/mappers", "application/yaml", GOOD.encode())]


def test_a_mapper_that_the_service_refuses_is_exit_1_with_every_fault(file, service) -> None:
    faults = [{"pointer": "/rules/0", "message": "has no id"}, {"pointer": "", "message": "is too large"}]
    refusal = {
        "type": "/problems/x",
        "title": "No",
        "status": 422,
        "detail": "It is not valid.",
        "errors": faults,
    }
    service.answers["/mappers?status=draft"] = (422, refusal)
    result = run("push", "--draft", file(GOOD), PERSONAKIT_URL=service.url, PERSONAKIT_API_KEY="pk_test")
    assert result.exit_code == 1
    first, second, third = result.stderr.splitlines()
    assert first == "personakit: It is not valid."
    assert second.endswith("m.yaml:4:5: /rules/0: has no id")
    assert third.endswith("m.yaml:2:1: is too large")
