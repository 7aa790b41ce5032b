"""Draws `learning.svg` from the simulation of `make bench`; a test holds the two together.

Run it after a change: `.venv/bin/python -m docs.explanation.draw_learning`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2
from pathlib import Path
from typing import Final

from bench.simulated_feedback import Scenario, simulate

PICTURE: Final = Path(__file__).with_name("learning.svg")
SCENARIO: Final = Scenario(200)
SEED: Final = 0
_SIDE: Final = 260
_LEFT: Final = 56
_TOP: Final = 44
_BOTTOM: Final = _TOP + _SIDE
_RIGHT_PANEL: Final = _LEFT + _SIDE + 70
_HEAD: Final = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 356" width="680" height="356" role="img">
<title>Multipliers over true rates: the learned ones rise with the rate, the plain rule's less so</title>
<style>
text {{ font: 13px sans-serif; fill: #334155; text-anchor: middle }}
.head {{ font-weight: bold; font-size: 14px }} .mark {{ font-size: 11px }} .end {{ text-anchor: end }}
.grid {{ stroke: #cbd5e1 }} .frame {{ fill: none; stroke: #94a3b8 }}
.ours {{ fill: #0f766e; fill-opacity: 0.8 }} .plain {{ fill: #b45309; fill-opacity: 0.8 }}
</style>
<rect width="680" height="356" fill="#ffffff"/>
<text transform="translate(20 {_TOP + _SIDE // 2}) rotate(-90)">multiplier</text>"""


def picture() -> str:
    """The whole SVG: two panels, one dot a rule, its multiplier on a logarithmic scale over its true rate."""
    found = simulate(SCENARIO, SEED)
    ours = f"learned (rho {found.ours():.2f})"
    plain = f"+10 % or -20 % a vote (rho {found.beside():.2f})"
    lines = [
        _HEAD,
        *_panel(_LEFT, ours, "ours", found.rates, found.learned),
        *_panel(_RIGHT_PANEL, plain, "plain", found.rates, found.plain),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _panel(
    left: int, head: str, kind: str, rates: Sequence[float], multipliers: Sequence[float]
) -> Iterator[str]:
    middle = left + _SIDE // 2
    yield f'<text class="head" x="{middle}" y="{_TOP - 20}">{head}</text>'
    for factor in (0.5, 1, 2):
        y = _down(factor)
        yield f'<path class="grid" d="M{left} {y:.1f}h{_SIDE}"/>'
        yield f'<text class="mark end" x="{left - 8}" y="{y + 4:.1f}">{factor:g}</text>'
    for percent in (0, 50, 100):
        x = left + _SIDE * percent // 100
        yield f'<text class="mark" x="{x}" y="{_BOTTOM + 18}">{percent} %</text>'
    yield f'<rect class="frame" x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}"/>'
    for rate, multiplier in sorted(zip(rates, multipliers, strict=True)):
        x, y = left + _SIDE * rate, _down(multiplier)
        yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    yield f'<text x="{middle}" y="{_BOTTOM + 40}">how often it is accepted, in truth</text>'


def _down(multiplier: float) -> float:
    """From 0.5, a little above the bottom, to 2, as far below the top."""
    return _TOP + _SIDE * (0.5 - 0.46 * log2(multiplier))


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
