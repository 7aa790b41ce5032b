"""Which scope each route takes. One that is not here, nor open, keeps the application from starting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from personakit.api.problems import Forbidden
from personakit.domain.grant import SCOPES, Grant
from personakit_sdk.wire import KeyScope

_OPEN: Final = re.compile(r"/(health/.*|metrics|openapi\.json|docs|schemas/.*|-(/.*)?)")
"""Health, figures, and descriptions of the API and of documents: they hold nobody's data."""

_OF_SCOPE: Final[Mapping[KeyScope, tuple[str, ...]]] = {
    "observe": (
        "recordObservation",
        "recordObservations",
        "retractObservation",
        "pinTrait",
        "unpinTrait",
        "changeConsent",
        "push",
    ),
    "feedback": ("giveFeedback", "push"),
    "read": (
        "listObservations",
        "getMindscape",
        "listMindscapeVersions",
        "getTraitEvidence",
        "getConsent",
        "listPersonas",
        "getPersona",
        "getSuggestion",
        "listMappers",
        "getMapper",
        "listMapperVersions",
        "getMapperVersion",
        "diffMapperVersions",
        "getLearnedWeights",
        "listComputedTraits",
        "getComputedTraits",
        "listComputedTraitsVersions",
        "listPeople",
        "exportPerson",
    ),
    "map": ("mapPersona", "mapPersonaByBody", "regeneratePersona", "sync"),
    "mappers:write": (
        "uploadMapper",
        "updateMapper",
        "withdrawMapper",
        "validateMapper",
        "publishMapperVersion",
        "changeRuleWeight",
        "adjustLearnedWeights",
        "uploadComputedTraits",
        "updateComputedTraits",
        "withdrawComputedTraits",
        "validateComputedTraits",
    ),
    "people:erase": ("erasePerson", "makePerson"),
    "admin": (
        "createPersona",
        "redefinePersona",
        "retirePersona",
        "getModelUse",
        "getAudit",
        "getConsentPolicy",
        "setConsentPolicy",
        "createKey",
        "listKeys",
        "revokeKey",
        "rotateKey",
    ),
}

NEEDED: Final[Mapping[str, frozenset[KeyScope]]] = {
    operation: frozenset(scope for scope, operations in _OF_SCOPE.items() if operation in operations)
    for operations in _OF_SCOPE.values()
    for operation in operations
}
"""By operation: the scopes of which a key needs one. Of a push each item needs its own besides."""


class RouteWithoutScope(LookupError):
    """A route says nothing of who may use it."""


def is_open(path: str) -> bool:
    """Whether the route with this path is for everybody, without a key."""
    return _OPEN.fullmatch(path) is not None


def require_scoped(routes: Iterable[BaseRoute]) -> None:
    """Raises RouteWithoutScope for a route that takes a key and has no scope, and for a scope without one."""
    found = {handler.operation_id: path for path, handler in _keyed(routes)}
    wrong = sorted(str(each) for each in found.keys() ^ NEEDED.keys())
    if wrong:
        raise RouteWithoutScope(f"api/scopes.py and the routes differ in: {', '.join(wrong)}.")


def require(grant: Grant, needed: frozenset[KeyScope]) -> None:
    """Raises Forbidden for a key that has none of the scopes."""
    if grant.scopes.isdisjoint(needed):
        named = " or ".join(f"`{scope}`" for scope in SCOPES if scope in needed)
        has = ", ".join(scope for scope in SCOPES if scope in grant.scopes)
        raise Forbidden(
            f"This key may not do that: it takes the scope {named}, and the key has {has}. "
            "Make one that has it: POST /keys, or personakit keys create --scope."
        )


def _keyed(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in routes:
        if isinstance(route, HTTPRoute) and not is_open(route.path_format):
            for handler in route.route_handlers:
                if "OPTIONS" not in handler.http_methods:
                    yield route.path_format, handler
