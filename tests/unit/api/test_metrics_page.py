"""The page of figures: made once for all who ask, who keep no place meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from personakit.api import metrics_page
from personakit.api.gate import Gate
from personakit.api.metrics_page import MetricsPage
from tests.unit.api.test_gate import Caller, ok


class Making:
    """Makes pages, each when it is let."""

    def __init__(self) -> None:
        self.made = 0
        self.may = threading.Event()

    def page(self) -> bytes:
        self.may.wait()
        self.made += 1
        return b"%d" % self.made


def test_many_who_ask_get_one_page_and_keep_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        gate, making, got = Gate(4, 40), Making(), []
        figures: Any = making
        page = MetricsPage(figures, gate)

        async def app(_: Any, __: Any, send: Any) -> None:
            got.append(await page.get())
            await ok(send)

        gated = gate.around(app)
        asking = [asyncio.create_task(Caller().ask(gated)) for _ in range(40)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert gate.at_work == 0
        making.may.set()
        await asyncio.gather(*asking)
        await Caller().ask(gated)
        assert got == [b"1"] * 41
        monkeypatch.setattr(metrics_page, "PAGE_SECONDS", 0.0)
        page._old_at = 0.0
        await Caller().ask(gated)
        await Caller().ask(gated)
        assert got[41:] == [b"2", b"3"]
        page.close()

    asyncio.run(run())
