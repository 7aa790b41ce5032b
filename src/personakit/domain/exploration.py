"""Exploration: rules that score about the same change places by chance, and each place has a known chance.

Of each rule a rate is drawn from what is believed of it, and the highest stands first (Thompson sampling:
Thompson 1933; Chapelle and Li, "An empirical evaluation of Thompson sampling", NIPS 2011). What is drawn from
is a histogram: the Beta distribution of the belief in CELLS equal cells, mixed with a part that is uniform
(a defensive mixture: Hesterberg, "Weighted average importance sampling", Technometrics 1995). So a draw takes
one uniform number, and the chance of every place is a sum of integrals over polynomials: it is computed, not
estimated by more draws, whose errors would not cancel in one over the chance.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from math import exp, log
from operator import attrgetter
from typing import Any, Final, NamedTuple, Self

from personakit_sdk.rules.document import EXPLORATION
from personakit_sdk.rules.plan import Candidate

CELLS: Final = 64
"""Of a histogram, from a rate of 0 to one of 1."""
MOST_VOTES: Final = 250
"""More votes are believed no more firmly than these, because people change; and a cell is no wider than half
a standard deviation of the firmest belief in a rate of one half."""
UNIFORM: Final = 0.1
"""The part of the draws that asks for no belief: it keeps every place open to every rule of a band."""
MOST: Final = 6
"""So many rules of a band, the best, change places. The points below are exact for no more."""
_POINTS: Final = ((0.5 - 0.15**0.5, 5 / 18), (0.5, 8 / 18), (0.5 + 0.15**0.5, 5 / 18))
"""Gauss-Legendre on 0 to 1, place and weight: exact up to degree 5, which MOST - 1 others make at most."""
_LEAST: Final = 0.01
"""No parameter of a Beta distribution is smaller."""

Histogram = tuple[float, ...]
"""The chance of a rate up to each of the CELLS + 1 bounds of the cells."""
_priority = attrgetter("rule.priority")


class Believed(NamedTuple):
    """A rule's rate of good votes, and how many votes that rests on."""

    rate: float = 0.5
    votes: float = 0.0


def beliefs_of(evidence: Mapping[str, Mapping[str, Any]]) -> dict[str, Believed]:
    """By rule, from the evidence that a mapper's row bears."""
    return {rule: Believed(one["rate"], one["votes"]) for rule, one in evidence.items()}


class Exploration(NamedTuple):
    """How a version of a mapper explores: within which part of the best score, and what is believed of its
    rules."""

    width: float
    beliefs: Mapping[str, Believed]

    @classmethod
    def of(cls, document: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]) -> Self | None:
        """That of a document in normal form, by the evidence of its rules; None for one that does not."""
        width = document["feedback_settings"].get(EXPLORATION)
        if width is None:
            return None
        return cls(width, beliefs_of(evidence))


class Place(NamedTuple):
    """A rule's chance to stand where it does, above 0, and the rules that could have stood there."""

    propensity: float
    among: tuple[str, ...]


class Explored(NamedTuple):
    """Candidates in the order that was drawn, and the place of each."""

    order: list[Candidate]
    places: list[Place]


NOTHING_BELIEVED: Final = Believed()


def explore(
    ranked: Sequence[Candidate], width: float, beliefs: Mapping[str, Believed], seed: bytes
) -> Explored:
    """Candidates in an order drawn by `seed`; `ranked` has the best first.

    Of each priority, the rules whose score lies within `width` (a part of the best score, above 0 to 1) of
    the best change places; all else stays where it was. The same arguments give the same order.
    """
    order: list[Candidate] = []
    places: list[Place] = []
    for _, each in groupby(ranked, key=_priority):
        group = list(each)
        band = _band(group, width)
        behind = [one for one in group if one.rule.id not in band]
        front = [one for rule in _drawn(band, beliefs, seed) for one in band[rule]]
        order += [*front, *behind]
        places += [*_places(front, band, beliefs), *(Place(1.0, (one.rule.id,)) for one in behind)]
    return Explored(order, places)


def _band(group: Sequence[Candidate], width: float) -> dict[str, list[Candidate]]:
    """The suggestions of the rules that change places, by rule, the best first."""
    lowest = group[0].score * (1 - width)
    rules = list(dict.fromkeys(one.rule.id for one in group if one.score >= lowest))[:MOST]
    return {rule: [one for one in group if one.rule.id == rule] for rule in rules}


def _drawn(rules: Iterable[str], beliefs: Mapping[str, Believed], seed: bytes) -> list[str]:
    """The rules by the rate drawn for each, the highest first."""
    rates = {rule: draw(histogram(beliefs.get(rule, NOTHING_BELIEVED)), chance(seed, rule)) for rule in rules}
    return sorted(rates, key=lambda rule: -rates[rule])


def _places(
    front: Sequence[Candidate], band: Mapping[str, Sequence[Candidate]], beliefs: Mapping[str, Believed]
) -> Iterator[Place]:
    """Where each of the suggestions of a band that were drawn into this order stands."""
    # In the order of the band, not of the draw: so it is reckoned once for all draws.
    given = tuple((beliefs.get(rule, NOTHING_BELIEVED), len(made)) for rule, made in band.items())
    of_rule = dict(zip(band, place_chances(given), strict=True))
    for at, one in enumerate(front):
        among = tuple(sorted(rule for rule in band if of_rule[rule][at] > 0))
        yield Place(of_rule[one.rule.id][at], among)


def chance(seed: bytes, rule: str) -> float:
    """A number from 0 to below 1, uniform over seeds: of each rule its own, whichever others there are."""
    word = hmac.new(seed, rule.encode(), hashlib.sha256).digest()[:8]
    return (int.from_bytes(word, "big") >> 11) / (1 << 53)


@lru_cache(maxsize=4096)
def histogram(believed: Believed) -> Histogram:
    """What rates are drawn from. Beta(1, 1), the uniform one, where nothing is believed."""
    strength = min(believed.votes, MOST_VOTES) + 2
    good = max(believed.rate * strength, _LEAST) - 1
    bad = max((1 - believed.rate) * strength, _LEAST) - 1
    middles = [(cell + 0.5) / CELLS for cell in range(CELLS)]
    logs = [good * log(rate) + bad * log(1 - rate) for rate in middles]
    heights = [exp(each - max(logs)) for each in logs]
    parts = [UNIFORM / CELLS + (1 - UNIFORM) * each / sum(heights) for each in heights]
    return (0.0, *accumulate(parts[:-1]), 1.0)


def draw(given: Histogram, uniform: float) -> float:
    """The rate below which a part of `uniform` of the histogram lies."""
    cell = min(bisect_right(given, uniform), CELLS) - 1
    return (cell + (uniform - given[cell]) / (given[cell + 1] - given[cell])) / CELLS


@lru_cache(maxsize=4096)
def place_chances(rules: tuple[tuple[Believed, int], ...]) -> tuple[tuple[float, ...], ...]:
    """Of each of at most MOST rules, given with the number of its suggestions, the chance that one of them
    stands at each place. The suggestions of a rule stand together, so a rule begins where those end that drew
    a higher rate.
    """
    if len(rules) == 1:
        return ((1.0,) * rules[0][1],)  # exactly, which a sum of integrals need not be
    histograms = [histogram(believed) for believed, _ in rules]
    sizes = [size for _, size in rules]
    begins = [[0.0] * (sum(sizes) - size + 1) for size in sizes]
    for cell in range(CELLS):
        for at, weight in _POINTS:
            below = [each[cell] + at * (each[cell + 1] - each[cell]) for each in histograms]
            for rule, each in enumerate(histograms):
                part = weight * (each[cell + 1] - each[cell])
                ahead = _ahead(below[:rule] + below[rule + 1 :], sizes[:rule] + sizes[rule + 1 :])
                begins[rule] = [
                    known + part * likely for known, likely in zip(begins[rule], ahead, strict=True)
                ]
    return tuple(
        tuple(sum(of_rule[max(0, at - size + 1) : at + 1]) for at in range(sum(sizes)))
        for of_rule, size in zip(begins, sizes, strict=True)
    )


def _ahead(behind: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """How likely no suggestion stands ahead, one, two …; of each other rule the chance that it stands behind,
    and how many it has."""
    likely = [1.0]
    for chance_behind, size in zip(behind, sizes, strict=True):
        none = [0.0] * size
        likely = [
            stays * chance_behind + comes * (1 - chance_behind)
            for stays, comes in zip(likely + none, none + likely, strict=True)
        ]
    return likely
