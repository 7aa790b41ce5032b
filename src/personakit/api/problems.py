"""The one table from error to status, and the problem documents (RFC 9457) made by it."""

from __future__ import annotations

import logging
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import msgspec
import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError
from litestar import Request, Response
from litestar.exceptions import HTTPException

from personakit.agents.budget import BudgetSpent
from personakit.agents.model import ModelFailed
from personakit.api.bodies import MAX_BODY, Malformed, TooLarge
from personakit.domain.curation import NotPinned, TooManyPins
from personakit.domain.exposure import ExposureInvalid
from personakit.domain.mapper import MapperUnknown, NotInUse, RuleUnknown
from personakit.domain.oversight import NotActive, ProposalChanged
from personakit.domain.own_traits import TraitsShipped, TraitsTaken, TraitsUnknown
from personakit.domain.publishing import PreconditionFailed, VersionWentDown
from personakit.eventlog.access import KeyOver, KeyUnknown
from personakit.eventlog.appender import LogBusy, LogClosed, LogSlow
from personakit.eventlog.corrections import SupersedesNothing
from personakit.eventlog.erasure_journal import ErasureJournalUnusable, NoErasureJournal
from personakit.eventlog.intake import IdOfErased, IdTaken, OfErased
from personakit.eventlog.person_keys import MasterKeyRotated, PersonErased
from personakit.eventlog.retractions import NotRecorded
from personakit.eventlog.streams import TooContended
from personakit.projections.read import BeyondHead, NotThereYet
from personakit_sdk import wire
from personakit_sdk.errors import DocumentInvalid, InvalidInput, PersonaKitError

logger = logging.getLogger(__name__)


class NotFound(PersonaKitError):
    """What was asked for does not exist, for this tenant."""


class Unauthorized(PersonaKitError):
    """No key, or one that opens nothing."""


class Forbidden(PersonaKitError):
    """The key has not the scope that this takes."""


class CoreStale(PersonaKitError):
    """The caller wanted no stale core, and this one is."""


class UnknownMediaType(PersonaKitError):
    """The body is of a kind that this route does not read."""


class CursorExpired(PersonaKitError):
    """A sync cursor that cannot be continued: it is too old, or none of this service's."""


class EpochChanged(PersonaKitError):
    """A sync cursor of another log: the database is another one, or was restored from a backup."""


class ScopeChanged(PersonaKitError):
    """A sync cursor of a client that saw something else: by another key, or by another filter."""


class SinceAhead(InvalidInput):
    """A client asked what changed since an instant that is still to come."""


class TooManyItems(InvalidInput):
    """A request has more items than one may have."""


class TooManyWaiting(PersonaKitError):
    """As many requests wait for changes as may."""

    retry_after = 5.0


class TooBusy(PersonaKitError):
    """As many requests are under way as may."""


class BodySlow(PersonaKitError):
    """The body of a request did not come in time."""


class HostUnknown(PersonaKitError):
    """The request is for a host that this service is not."""


class RateExceeded(PersonaKitError):
    """A key asks faster than it may."""

    def __init__(self, what: str, rate: float, seconds: float) -> None:
        super().__init__(
            f"This key may send {rate:g} {what} a second and has sent more; come again in {ceil(seconds)} s."
        )
        self.retry_after = seconds


class TooManyGuesses(PersonaKitError):
    """From an address came too many keys that open nothing."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many keys that open nothing came from this address; come again later.")
        self.retry_after = seconds


# The first row that fits counts, so a class stands before those that it derives from.
_TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (Malformed, 400, "malformed-json"),
    (TooLarge, 413, "too-large"),
    (TooManyItems, 413, "too-large"),
    (SinceAhead, 400, "since-ahead"),
    (DocumentInvalid, 422, "document-invalid"),
    (ExposureInvalid, 400, "exposure-invalid"),
    (InvalidInput, 422, "invalid-input"),
    (Unauthorized, 401, "unauthorized"),
    (Forbidden, 403, "forbidden"),
    (BodySlow, 408, "body-slow"),
    (RateExceeded, 429, "rate-exceeded"),
    (TooManyGuesses, 429, "too-many-guesses"),
    (HostUnknown, 421, "host-unknown"),
    (KeyUnknown, 404, "not-found"),
    (KeyOver, 409, "key-over"),
    (NotFound, 404, "not-found"),
    (NotPinned, 404, "not-pinned"),
    (NotRecorded, 404, "not-recorded"),
    (SupersedesNothing, 422, "supersedes-nothing"),
    (MapperUnknown, 404, "not-found"),
    (RuleUnknown, 404, "not-found"),
    (TraitsUnknown, 404, "not-found"),
    (TraitsShipped, 409, "comes-with-release"),
    (TraitsTaken, 409, "trait-taken"),
    (IdTaken, 409, "id-taken"),
    (TooManyPins, 409, "too-many-pins"),
    (NotInUse, 409, "mapper-withdrawn"),
    (NotActive, 409, "mapper-not-active"),
    (ProposalChanged, 409, "proposal-changed"),
    (VersionWentDown, 409, "version-went-down"),
    (CoreStale, 409, "core-stale"),
    (PersonErased, 410, "person-erased"),
    (NoErasureJournal, 501, "no-erasure-journal"),
    (ErasureJournalUnusable, 503, "erasure-journal-unusable"),
    (OfErased, 410, "person-erased"),
    (IdOfErased, 410, "id-of-erased"),
    (CursorExpired, 410, "cursor-expired"),
    (EpochChanged, 410, "epoch-changed"),
    (ScopeChanged, 410, "scope-changed"),
    (PreconditionFailed, 412, "precondition-failed"),
    (UnknownMediaType, 415, "unknown-media-type"),
    (BeyondHead, 400, "beyond-head"),
    (ModelFailed, 502, "model-failed"),
    (BudgetSpent, 503, "model-budget-spent"),
    (NotThereYet, 503, "not-there-yet"),
    (TooContended, 503, "too-contended"),
    (TooManyWaiting, 503, "too-many-waiting"),
    (MasterKeyRotated, 503, "master-key-rotated"),
    (TooBusy, 503, "busy"),
    (LogBusy, 503, "busy"),
    (LogClosed, 503, "shutting-down"),
    (LogSlow, 503, "storage-slow"),
    (OperationalError, 503, "storage-unavailable"),
    (InterfaceError, 503, "storage-unavailable"),
    (psycopg.OperationalError, 503, "storage-unavailable"),
    (psycopg.InterfaceError, 503, "storage-unavailable"),
)
UNAVAILABLE: Final = tuple(kind for kind, status, _ in _TABLE if status == HTTPStatus.SERVICE_UNAVAILABLE)
"""What passes: the same request may be answered a little later."""
REFUSED_EARLY: Final = (LogBusy, TooBusy, TooManyWaiting, NotThereYet)
"""What is counted and not logged: else whoever asks too much could fill the log as well."""
_OF_STATUS = {
    404: ("not-found", "There is nothing at this address; /docs lists what there is."),
    405: ("method-not-allowed", "This address does not take this method; /docs lists what it takes."),
    413: ("too-large", f"The body is larger than {MAX_BODY} bytes; send it in smaller parts."),
}
_STORAGE = "The database cannot be reached. Try again shortly; a write with an id may be sent again safely."


def problem_of(error: Exception) -> wire.Problem:
    """The problem document for an error; one that nobody foresaw says no more than that."""
    for kind, status, slug in _TABLE:
        if isinstance(error, kind):
            detail = _STORAGE if slug == "storage-unavailable" else str(error)
            return _problem(status, slug, detail, getattr(error, "faults", ()))
    if isinstance(error, HTTPException):
        return _of_http(error)
    return _problem(500, "internal", "The service failed; the failure is in its log.")


def _of_http(error: HTTPException) -> wire.Problem:
    """Litestar's own refusals: routes, methods, query parameters."""
    slug, detail = _OF_STATUS.get(error.status_code, ("invalid-request", error.detail))
    faults = [
        wire.FaultAt(pointer=_camel(str(extra.get("key", ""))), message=str(extra.get("message", "")))
        for extra in (error.extra if isinstance(error.extra, list) else [])
        if isinstance(extra, dict)
    ]
    if faults:
        detail = f"The parameter {faults[0].pointer} is not valid: {faults[0].message}."
    return msgspec.structs.replace(_problem(error.status_code, slug, detail), errors=faults)


def _camel(name: str) -> str:
    """A handler's parameter under the name that a caller knows it by."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _problem(status: int, slug: str, detail: str, faults: Any = ()) -> wire.Problem:
    return wire.Problem(
        type=f"urn:personakit:problem:{slug}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[wire.FaultAt(pointer=fault.pointer, message=fault.message) for fault in faults],
    )


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a request that failed."""
    problem = problem_of(error)
    if problem.status >= 500 and not isinstance(error, REFUSED_EARLY):
        # The route and not the address, which may name somebody.
        scope = request.scope
        route, tenant = scope.get("path_template", "an unknown route"), scope.get("user") or "none"
        said = str(error) if isinstance(error, PersonaKitError) else type(error).__name__
        logger.error("%s %s failed (tenant %s): %s", request.method, route, tenant, said, exc_info=error)
    headers = {"Cache-Control": "no-store"}
    if problem.status == 405 and isinstance(error, HTTPException) and error.headers:
        headers["Allow"] = error.headers["allow"]
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    retry_after = getattr(error, "retry_after", None)
    if problem.status == 408:
        headers["Connection"] = "close"
    if problem.status == 503 or retry_after is not None:
        headers["Retry-After"] = str(ceil(retry_after or 1))
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=headers,
    )
