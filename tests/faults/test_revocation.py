"""A key is revoked by one process and opens nothing in another: two APIs over one database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from personakit_sdk.errors import PersonaKitError
from personakit_sdk.transport import ServiceError
from tests.postgres import url_of
from tests.production import ApiProcess, Production, production

SECOND = 1.0


@pytest.fixture(scope="module")
def shared(database: str) -> Iterator[Production]:
    with production(url_of(database)) as made:
        made.start([1, 1], 0)
        yield made


def status(api: ApiProcess, key: str) -> int:
    try:
        api.transport(key).request("GET", "/mappers")
    except ServiceError as refused:
        return refused.status
    except PersonaKitError as error:
        raise AssertionError(str(error)) from error
    return 200


def created(shared: Production, *options: str) -> tuple[str, str]:
    done = shared.run("--json", "keys", "create", *options)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return made["secret"], made["key"]["id"]


def test_a_revocation_holds_in_every_process_within_a_second(shared: Production) -> None:
    admin = shared.first_key()
    one, other = shared.apis
    by_api, by_api_id = created(shared, "--scope", "read")
    by_command, by_command_id = created(shared, "--scope", "read", "--person", "ada", "--expires", "90d")
    for _ in range(5):
        assert [status(api, key) for api in (one, other) for key in (by_api, by_command)] == [200] * 4
    one.transport(admin).request("DELETE", f"/keys/{by_api_id}")
    time.sleep(SECOND)
    assert [status(api, by_api) for api in (one, other)] == [401, 401]
    assert [status(api, by_command) for api in (one, other)] == [200, 200]
    revoked = shared.run("keys", "revoke", by_command_id)
    assert revoked.returncode == 0, revoked.stderr
    time.sleep(SECOND)
    assert [status(api, by_command) for api in (one, other)] == [401, 401]


def test_a_key_is_rotated_and_listed_by_command(shared: Production) -> None:
    shared.first_key()
    one, other = shared.apis
    old, old_id = created(shared, "--scope", "read", "--scope", "map", "--persona", "ada", "--name", "app")
    rotated = shared.run("keys", "rotate", old_id, "--overlap", "1h")
    assert rotated.returncode == 0, rotated.stderr
    new = rotated.stdout.strip()
    assert [status(api, key) for api in (one, other) for key in (old, new)] == [200] * 4
    listed = {line.split()[0]: line for line in shared.run("keys", "list").stdout.splitlines()}
    assert "  until " in listed[old_id]
    assert "  read,map  ada  " in listed[new[:11]]
    assert "  open  " in listed[new[:11]]
    assert shared.run("keys", "revoke", "pk_nothing").returncode == 1
    assert shared.run("keys", "create", "--scope", "admin", "--person", "ada").returncode == 2
