"""`personakit mappers import`, as a person meets it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from personakit.cli.main import personakit
from personakit_sdk.rules.plan import compile_mapper
from personakit_sdk.rules.yaml import load_yaml

LOGIC = '{"and": [{"==": [{"var": "work.energy"}, "high"]}, {"<": [{"var": "meetings"}, 3]}]}'


def run(*arguments: str) -> Result:
    command = ["mappers", "import", *arguments]
    result = CliRunner().invoke(personakit, command, prog_name="personakit")
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def logic(tmp_path: Path) -> str:
    path = tmp_path / "deep work.json"
    path.write_text(LOGIC)
    return str(path)


def test_a_mapper_comes_out_that_is_valid_and_says_what_differs(logic: str, tmp_path: Path) -> None:
    result = run("--from", "jsonlogic", "--trait", "work", logic)
    assert result.exit_code == 0
    plan = compile_mapper(load_yaml(result.stdout))
    assert (plan.mapper_id, plan.trait_paths) == ("deep_work", ("work.energy",))
    assert result.stdout.startswith("# /and/0/==/1: a list or object")
    assert "note: /and/1/</1: texts such as" in result.stderr
    written = tmp_path / "out.yaml"
    done = run("--from", "jsonlogic", "--trait", "work", "-o", str(written), logic)
    assert (done.exit_code, done.stdout) == (0, "")
    assert written.read_text() == result.stdout
    checked = CliRunner().invoke(personakit, ["mappers", "validate", str(written)])
    assert checked.exit_code == 0


def test_all_facts_may_be_traits_and_the_id_another(logic: str) -> None:
    result = run("--from", "jsonlogic", "--facts", "traits", "--id", "focus", logic)
    plan = compile_mapper(load_yaml(result.stdout))
    assert (plan.mapper_id, plan.trait_paths) == ("focus", ("meetings", "work.energy"))


def test_programs_get_document_and_notes(logic: str) -> None:
    made = msgspec.json.decode(run("--from", "jsonlogic", "--json", logic).stdout)
    assert made["document"]["metadata"]["version"] == "1.0.0"
    assert len(made["notes"]) == 2


def test_what_is_refused_is_exit_1_with_file_place_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_text('{"and": [\n  {"map": [1]},\n  {"<": [{"var": "a"}, "5"]}\n]}')
    result = run("--from", "jsonlogic", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    first, second, third = result.stderr.splitlines()
    assert first == f"personakit: {path} cannot be imported from jsonlogic:"
    assert second.startswith(f"{path}:2:3: /and/0: 'map' computes a value")
    assert third.startswith(f"{path}:3:24: /and/1/</1: JavaScript orders '5' as text")


def test_strict_refuses_what_would_be_noted(logic: str) -> None:
    result = run("--from", "jsonlogic", "--strict", logic)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "/and/0/==/1: a list or object" in result.stderr


@pytest.mark.parametrize("text", ["", "[", "{'a': 1}", '{"a": 1, "a": 2}', "NaN", "5", '"x"'])
def test_what_is_no_rule_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(text)
    for source in ("jsonlogic", "growthbook", "json-rules-engine"):
        assert run("--from", source, str(path)).exit_code == 1
