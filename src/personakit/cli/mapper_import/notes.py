"""Notes: for which facts an imported condition decides otherwise than where it comes from."""

from __future__ import annotations

from typing import Final

from personakit_sdk.errors import Fault

SPELLINGS: Final = (
    'texts such as " 5", "5.", ".5", "0x5" and "Infinity" are numbers in JavaScript, and so is a list of '
    "one number; here they are none"
)
LISTS: Final = (
    'a list or object that JavaScript would join to the same text, as [["a"]] to "a", is not that text here'
)
PATHS: Final = "where the fact is no object, json-rules-engine passes its path over; here nothing is there"
LETTERS: Final = "of a text, an index is one of its letters in JavaScript; here nothing is there"
KEY_ORDER: Final = "GrowthBook heeds the order of an object's keys; here it makes no difference"


class Notes:
    """Sentences, each with the places in the source that it holds for."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, sentence: str, pointer: str) -> None:
        """Says a sentence of one place."""
        places = self._places.setdefault(sentence, [])
        if pointer not in places:
            places.append(pointer)

    def lines(self) -> list[str]:
        """One line a sentence, with its places."""
        return [f"{', '.join(map(_named, places))}: {said}" for said, places in self._places.items()]

    def faults(self) -> tuple[Fault, ...]:
        """Each place with its sentence."""
        return tuple(Fault(place, said) for said, places in self._places.items() for place in places)


def _named(pointer: str) -> str:
    return pointer or "(whole)"
