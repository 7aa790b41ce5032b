"""A service as it is installed, with something of everything in it, and what Schemathesis finds in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from personakit_sdk import wire
from personakit_sdk.rules import suggestion_id
from personakit_sdk.transport import Transport
from tests.postgres import data_dir
from tests.processes import installation

ROOT: Final = Path(__file__).parents[3]
EDGES: Final = "coverage"
CHANCE: Final = "fuzzing,stateful"
HOOKS: Final = "tests.contract.openapi.hooks"
# Two checks are left out: what is true of a description is not all that a service may ask. That a person is
# there, or two fields go together, no schema says (positive_data_acceptance); and what is no such request by
# the schema may be taken all the same: a header nobody knows, a parameter twice (negative_data_rejection).
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "documented_headers",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
)
_GENERATED: Final = re.compile(r"(\d+) generated")
_OBSERVED: Final = "0192f3a0-0000-7000-8000-00000000000"


class Run(NamedTuple):
    """What one run of Schemathesis came to."""

    passed: bool
    cases: int
    output: str


class Site:
    """A running service, its first key, and the ids of what is there."""

    def __init__(self, service: Transport, key: str) -> None:
        self._url = service.url
        self._key = key
        self._ids = _known_ids(service)

    def run(self, *, phases: str, examples: int, seed: int, operations: Iterable[str] = ()) -> Run:
        """Runs Schemathesis: `examples` requests by chance for each operation, and as many sequences, besides
        the edges of every parameter, as far as these are among the `phases`; of some operations alone where
        they are named."""
        told = {"SCHEMATHESIS_HOOKS": HOOKS, "KNOWN_IDS": msgspec.json.encode(self._ids).decode()}
        command = [
            *(str(Path(sys.executable).with_name("st")), "run", f"{self._url}/openapi.json"),
            *("--header", f"Authorization: Bearer {self._key}"),
            *("--checks", ",".join(CHECKS), "--phases", phases),
            *("--seed", str(seed), "--max-examples", str(examples)),
            *("--continue-on-failure", "--warnings", "off", "--no-color"),
            *(f"--include-operation-id={operation}" for operation in operations),
        ]
        with tempfile.TemporaryDirectory() as folder:  # it keeps what it found where it stands
            done = subprocess.run(
                command,
                cwd=folder,
                env=os.environ | told | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
        counted = _GENERATED.search(done.stdout)
        return Run(done.returncode == 0, int(counted[1]) if counted else 0, done.stdout + done.stderr)


@contextmanager
def installed() -> Iterator[Site]:
    """A service of its own, for as long as the block."""
    with data_dir() as directory, installation(directory) as made:
        service = made.start()
        yield Site(service, (directory / "api-key").read_text().strip())


def run_cases(cases: int, seed: int) -> Run:
    """The edges, then requests by chance and sequences of them, more and more until there were `cases`."""
    with installed() as site:
        done = site.run(phases=EDGES, examples=1, seed=seed)
        examples = 10
        while done.passed and done.cases < cases:
            more = site.run(phases=CHANCE, examples=examples, seed=seed + examples)
            done = Run(more.passed, done.cases + more.cases, f"{done.output}\n{more.output}")
            examples *= 2
        return done


def _known_ids(service: Transport) -> dict[str, str]:
    """Makes somebody, a persona and a key; their ids and those of what a release brings, by the names of
    parameters."""
    told = [_observation(day) for day in range(1, 6)]
    service.request("POST", "/observations/batch", body=told, idempotent=True)
    persona = service.request("POST", "/personas", body={"name": "Team", "people": ["ada"]})
    spare = service.request("POST", "/keys", body={"name": "spare", "scopes": ["read"]})
    return {
        "personId": "ada",
        "personaId": persona.decode(wire.Persona).id,
        "mapperId": "work_rhythm",
        "documentId": "code_commit",
        "observationId": f"{_OBSERVED}1",
        "path": "work.commits",
        "version": "1",
        "ruleId": "evening_builder",
        "suggestionId": suggestion_id.encode(
            "ada", "work_rhythm", 1, "evening_builder", 1, datetime(2026, 3, 6, 21, tzinfo=UTC)
        ),
        "keyId": spare.decode(wire.CreatedKey).key.id,
    }


def _observation(day: int) -> dict[str, Any]:
    return {
        "id": f"{_OBSERVED}{day}",
        "personId": "ada",
        "type": "code_commit",
        "content": {"lines_changed": 20 + day, "files_changed": 2, "languages": ["Python"], "merge": False},
        "occurredAt": f"2026-03-{day:02}T21:15:00Z",
    }
