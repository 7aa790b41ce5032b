"""What is killed and when: a plan that a seed decides, so that it can be made again."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

VICTIMS: Final = ("api 1", "api 2", "worker 1", "worker 2", "redis", "postgres")


class Strike(NamedTuple):
    """`pause` seconds after the one before: FLUSHALL where `flush`, then SIGKILL to all `victims` at once.

    They are started again `down` seconds later. A `patient` strike waits until they are at work again; else
    the next one may meet them while they start.
    """

    pause: float
    victims: tuple[str, ...]
    flush: bool
    down: float
    patient: bool


def strikes(seed: int, kills: int) -> Iterator[Strike]:
    """Strikes with `kills` kills in all. Each victim has its turn before any has its next."""
    chance = Random(seed)
    turns = _turns(chance)
    while kills > 0:
        kind = chance.random()
        count = 0 if kind < 0.1 else 2 if kind < 0.3 and kills > 1 else 1
        victims = [next(turns) for _ in range(count)]
        yield Strike(
            pause=chance.uniform(0.2, 1.6),
            victims=tuple(dict.fromkeys(victims)),
            flush=count == 0 or chance.random() < 0.15,
            down=chance.uniform(0.0, 0.8),
            patient=chance.random() < 0.4,
        )
        kills -= len(set(victims))


def _turns(chance: Random) -> Iterator[str]:
    while True:
        yield from chance.sample(VICTIMS, len(VICTIMS))
