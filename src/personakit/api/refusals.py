"""With which statuses a route may refuse, as the description has it.

Nearly all of them follow from what a route takes: a path, a body, a key. So a route that is new has them too;
what else it may answer stands in `_BESIDES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

SAYS: Final[Mapping[str, str]] = {
    "400": "What was sent is nothing that this takes: a parameter, a header, or a body that is not JSON",
    "401": "No key, or one that opens nothing",
    "403": "The key has not the scope that this takes",
    "404": "What is named is not there, for this key",
    "408": "The body did not come in time",
    "409": "It does not go with what there is by now",
    "410": "What is named is gone: a person who was erased, or a cursor that cannot be continued",
    "412": "The document is another one than `If-Match` says",
    "413": "The body, or an item in it, is too large",
    "415": "The body is of a kind that this does not read",
    "422": "What is said cannot be taken; `errors` says where",
    "429": "The key asks for more than its rate, or keys are guessed from this address",
    "501": "Nobody can be erased, for no journal of erasures is set",
    "502": "The model could not be asked, or answered nothing of use",
    "503": "Not now; the same request may be answered after `Retry-After` seconds",
}
_BESIDES: Final[Mapping[str, frozenset[str]]] = {
    "erasePerson": frozenset({"501"}),
    "mapPersona": frozenset({"409"}),
    "regeneratePersona": frozenset({"502"}),
}
_NAMING: Final = frozenset({"personId", "personaId"})
"""Parameters that name somebody who may not be there, or not any more."""


def refusals(operation: Mapping[str, Any], *, method: str, is_open: bool) -> list[str]:
    """The statuses, in order."""
    return sorted({*_of_all(operation), *(() if is_open else _of_keyed(operation, method))})


def _of_all(operation: Mapping[str, Any]) -> Iterator[str]:
    yield from ("400", "422", "503")
    yield from _BESIDES.get(operation["operationId"], ())


def _of_keyed(operation: Mapping[str, Any], method: str) -> Iterator[str]:
    body: Mapping[str, Any] = operation.get("requestBody", {}).get("content", {})
    parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
    yield from ("401", "403", "429")
    if body or any(each["in"] == "path" or each["name"] in _NAMING for each in parameters):
        yield from ("404", "410")
    if method != "get":
        yield "409"
    if body:
        yield from ("408", "413")
    if "application/yaml" in body:
        yield "415"
    if any(each["name"] == "If-Match" for each in parameters):
        yield "412"
