"""Draws `trust-boundaries.svg`: who stands where, and which line each has to cross; a test holds the two
together.

Run it after a change: `.venv/bin/python -m docs.explanation.draw_boundaries`.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

PICTURE: Final = Path(__file__).with_name("trust-boundaries.svg")
_HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 430" width="860" height="430" role="img">
<title>Trust boundaries: devices, networks, the service's processes, what they store, and a provider</title>
<style>
text { font: 13px sans-serif; fill: #334155; text-anchor: middle }
.head { font-weight: bold; font-size: 14px } .who { fill: #b45309; font-size: 11px }
.zone { fill: #f8fafc; stroke: #0f766e; stroke-width: 1.5; stroke-dasharray: 6 4 }
.part { fill: #ffffff; stroke: #94a3b8 } .way { stroke: #64748b; stroke-width: 1.5; marker-end: url(#tip) }
</style>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#64748b"/></marker>
<rect width="860" height="430" fill="#ffffff"/>"""


class _Box(NamedTuple):
    """A zone, or a part in one: where it is, what it is called, and who may sit in it."""

    x: int
    y: int
    width: int
    height: int
    name: str
    who: str = ""


ZONES: Final = (
    _Box(20, 30, 190, 370, "A. Devices, networks", "anonymous, thief of a device"),
    _Box(260, 30, 220, 370, "B. The service's processes", "other tenant, limited key"),
    _Box(530, 30, 310, 235, "C. What is stored", "thief of a disk or a backup"),
    _Box(530, 290, 310, 110, "D. Provider of a model", "compromised provider"),
)
PARTS: Final = (
    _Box(40, 90, 150, 60, "Application with SDK", "application with a key"),
    _Box(40, 180, 150, 60, "SDK's store", "0600, may be encrypted"),
    _Box(40, 300, 150, 70, "Command line", "operator; files by others"),
    _Box(285, 90, 170, 75, "API", "key, scope, limits; sizes"),
    _Box(285, 195, 170, 75, "Rule engine", "documents by others"),
    _Box(285, 300, 170, 70, "Workers", "texts that give orders"),
    _Box(550, 90, 130, 70, "Log", "sealed per person"),
    _Box(700, 90, 120, 70, "Person keys", "wrapped"),
    _Box(550, 180, 130, 65, "Read models", "in the clear"),
    _Box(700, 180, 120, 65, "Master key", "kept apart"),
    _Box(610, 335, 150, 50, "Messages API", "sees free text"),
)
WAYS: Final = (
    (115, 150, 115, 180),
    (190, 120, 285, 120),
    (190, 335, 285, 145),
    (370, 165, 370, 195),
    (455, 125, 550, 125),
    (455, 320, 550, 215),
    (455, 350, 610, 358),
    (700, 125, 680, 125),
    (760, 180, 760, 160),
)


def picture() -> str:
    """The whole SVG: zones with dashed borders, which are the boundaries, and the ways across them."""
    lines = [
        _HEAD,
        *(line for zone in ZONES for line in _box(zone, "zone", 22)),
        *(line for part in PARTS for line in _box(part, "part", 26)),
        *(f'<path class="way" d="M{x} {y}L{to_x} {to_y}"/>' for x, y, to_x, to_y in WAYS),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _box(box: _Box, kind: str, down: int) -> Iterator[str]:
    middle = box.x + box.width // 2
    head = ' class="head"' if kind == "zone" else ""
    yield f'<rect class="{kind}" x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6"/>'
    yield f'<text{head} x="{middle}" y="{box.y + down}">{escape(box.name)}</text>'
    if box.who:
        yield f'<text class="who" x="{middle}" y="{box.y + down + 19}">{escape(box.who)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
