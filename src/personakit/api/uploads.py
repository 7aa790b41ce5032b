"""Documents as they come in: JSON or YAML, read, and such as can be stored and addressed."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from litestar import Request

from personakit.api.problems import UnknownMediaType
from personakit_sdk.errors import DocumentInvalid, Fault, InvalidInput
from personakit_sdk.rules.yaml import load_json, load_yaml
from personakit_sdk.storable import unstorable

YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml")
"""The registered media type, and what it was called before."""
_TAKEN_BY_ROUTES: Final = ("validate",)


class Uploaded(NamedTuple):
    """A document that was sent; `source` is its text where that was YAML."""

    document: dict[str, Any]
    source: str | None


def uploaded(body: bytes, request: Request[Any, Any, Any], what: str) -> Uploaded:
    """The document of a body, which is to be a `what`. Raises UnknownMediaType for what is neither JSON nor
    YAML, DocumentInvalid for what cannot be read, InvalidInput for what could not be stored."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in (*YAML, "application/json"):
        raise UnknownMediaType(
            f"A {what} is sent as application/json or application/yaml, not as {media_type!r}."
        )
    is_yaml = media_type in YAML
    document = load_yaml(body) if is_yaml else load_json(body)
    if not isinstance(document, dict):
        raise DocumentInvalid(what, (Fault("", f"a {what} is an object"),))
    faults = tuple(unstorable(document))
    if faults:
        raise InvalidInput(
            f"The {what} cannot be stored at {faults[0].pointer}: {faults[0].message}.", faults
        )
    return Uploaded(document, body.decode("utf-8-sig") if is_yaml else None)


def refuse_taken_id(id_: str, what: str, address: str) -> None:
    """Raises DocumentInvalid for a document that could not be read at its own address."""
    if id_ in _TAKEN_BY_ROUTES:
        message = f"{address}/{id_} is an address of the service's own; give it another id"
        raise DocumentInvalid(what, (Fault("/metadata/id", message),))


def refuse_other_id(id_: str, what: str, in_address: str | None) -> None:
    """Raises DocumentInvalid where a document is sent to the address of another one."""
    if in_address not in (None, id_):
        fault = Fault("/metadata/id", f"it says {id_!r}, but the address says {in_address!r}")
        raise DocumentInvalid(what, (fault,))
