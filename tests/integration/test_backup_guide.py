"""The page on backups, walked through: a service is lost, its backup restored elsewhere, and an application
brings back what came after the backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from personakit_sdk import PersonaKit, wire
from personakit_sdk.transport import ServiceError, Transport
from tests.integration.test_mapper_guides import PAGES, steps, take
from tests.integration.test_sdk_end_to_end import commit, open_kit, recorded, until
from tests.postgres import data_dir
from tests.processes import installation

PAGE = PAGES / "back-up-and-restore.md"
RULE = {"mapper_id": "work_rhythm", "rule_id": "evening_builder"}


EVE = "canary8d21f-eve"


def kept(store: Path, text: str) -> bool:
    """Whether it is in a file of the store."""
    return any(text.encode() in path.read_bytes() for path in store.parent.glob(f"{store.name}*"))


def test_a_service_is_backed_up_lost_and_restored(tmp_path: Path) -> None:
    backup, restore, rotate = (steps(PAGE)[:3], steps(PAGE)[3:4], steps(PAGE)[4:])
    assert len(rotate) == 1
    store = tmp_path / "store.db"
    with data_dir() as old, data_dir() as folder:
        with installation(old) as installed:
            installed.start()
            key = (old / "api-key").read_text().strip()
            with open_kit(installed, store) as kit:
                for day in range(5):
                    commit(kit, "ada", day)
                commit(kit, EVE, 1)
                kit.feedback(persona_id="ada", helpful=True, **RULE)
                assert kit.flush()
                kit.sync()
                take(backup, installed, folder)
                for day in range(5, 10):
                    commit(kit, "ada", day)
                commit(kit, "bob", 1)
                kit.feedback(persona_id="ada", helpful=False, **RULE)
                assert kit.flush()
                assert kit.status().outbox.confirmed == 14
            erased = installed.transport().request("DELETE", f"/people/{EVE}", idempotent=True)
            assert erased.decode(wire.ErasureReceipt).person_id == EVE
            assert installed.stop() == 0
            shutil.copy(old / "erasures.jsonl", folder)
            (folder / "restored").mkdir()
            shutil.copy(old / "master-key", folder / "restored")
            take(restore, installed, folder)
        with installation(folder / "restored") as installed:
            installed.log = tmp_path / "service.log"
            installed.start()
            url = f"http://127.0.0.1:{installed.port}"
            transport = Transport(url, key)
            assert recorded(transport, "ada") == 5
            assert kept(store, EVE)
            with PersonaKit(url, key, store=store, background=False) as kit:
                kit.sync()
                kit.flush()
                assert kit.status().outbox.waiting == 0
                assert len(kit.dead_letters) == 0
            assert not kept(store, EVE)
            until(lambda: (recorded(transport, "ada"), recorded(transport, "bob")) == (10, 1))
            for path in (f"/personas/{EVE}", f"/mindscapes/{EVE}"):
                with pytest.raises(ServiceError) as refused:
                    transport.request("GET", path)
                assert refused.value.status in {404, 410}
            assert EVE not in installed.log.read_text()
            take(rotate, installed, folder)
            assert (folder / "restored/master-key").read_text() != (old / "master-key").read_text()
            assert recorded(transport, "ada") == 10
