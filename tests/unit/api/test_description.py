"""The description of the API takes long to make: others are served meanwhile, and it is made once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from unittest.mock import MagicMock

import pytest

from personakit.api import openapi


def test_while_the_description_is_made_others_are_served_and_it_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others_were_served = threading.Event()
    made: list[bool] = []

    def describe(_: Any) -> dict[str, Any]:
        made.append(others_were_served.wait(20))
        return {}

    monkeypatch.setattr(openapi, "describe", describe)
    monkeypatch.setattr(openapi, "render", lambda _: "a page")
    app = MagicMock(state={"describing": asyncio.Lock()})

    async def run() -> None:
        asking = [asyncio.create_task(openapi._published(app)) for _ in range(3)]
        while not made and not asking[0].done():
            await asyncio.sleep(0)
            others_were_served.set()
        assert {each.document for each in await asyncio.gather(*asking)} == {b"{}"}

    asyncio.run(run())
    assert made == [True]
