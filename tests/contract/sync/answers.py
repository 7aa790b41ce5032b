"""The bodies that the scripted service answers, in full, made from what a case says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from msgspec import UNSET

from tests.contract.sync.exchange import Answer, Change, Fate, Page

PROBLEM: Final = "urn:personakit:problem:"
VALID: Final = timedelta(days=7)
Body = dict[str, Any]


def content_of(answer: Answer, names: Mapping[str, str], now: datetime) -> tuple[bytes, str]:
    """The body of an answer and its content type. `names` has the item's name by each id that was sent."""
    if answer.text is not UNSET:
        return answer.text.encode(), "text/html"
    if answer.problem is not UNSET:
        return encoded(problem(answer.status, answer.problem)), "application/problem+json"
    if answer.page is not UNSET:
        return encoded(page(answer.page, now)), "application/json"
    if answer.fates is not UNSET:
        return encoded(fates(answer.fates, names, answer.epoch)), "application/json"
    return b"", "application/json"


def headers_of(answer: Answer, now: datetime) -> dict[str, str]:
    """The headers of an answer, beside those of HTTP itself: a page says until when it is valid, and one that
    is up to date has its `next` as its ETag."""
    if answer.page is UNSET:
        return answer.headers
    said = {"PersonaKit-Valid-Until": valid_until(answer.page, now), "Cache-Control": "no-store"}
    if answer.page.up_to_date:
        said["ETag"] = f'"{answer.page.next}"'
    return {**said, **answer.headers}


def encoded(body: Body) -> bytes:
    """A body as it is sent."""
    return json.dumps(body).encode()


def problem(status: int, slug: str) -> Body:
    """A problem, as RFC 9457 has it."""
    return {"type": PROBLEM + slug, "title": "No", "status": status, "detail": f"This is {slug}."}


def fates(said: Mapping[str, Fate], names: Mapping[str, str], epoch: str) -> Body:
    """The answer to a push of items: each has its fate by name, or that of `all`."""
    each = {id_: said.get(name, said.get("all", "stored")) for id_, name in names.items()}
    results = {
        id_: _result(fate, number) for number, (id_, fate) in enumerate(each.items(), 1) if fate != "absent"
    }
    return {"epoch": epoch_of(epoch), "results": results}


def _result(fate: Fate, position: int) -> Body:
    match fate:
        case "rejected":
            return {"status": fate, "problem": problem(422, "invalid-input")}
        case "erased":
            return {"status": "rejected", "problem": problem(410, "person-erased")}
        case "id-of-erased":
            return {"status": "rejected", "problem": problem(410, fate)}
        case "retry":
            return {"status": fate, "problem": problem(503, "busy")}
        case _:
            return {"status": fate, "position": position}


def page(said: Page, now: datetime) -> Body:
    """The answer to a pull."""
    return {
        "epoch": epoch_of(said.epoch),
        "intent": said.intent,
        "items": [_item(change) for change in said.items],
        "next": said.next,
        "hasMore": not said.up_to_date,
        "upToDate": said.up_to_date,
        "asOf": now.isoformat(),
        "position": said.position,
        "validUntil": valid_until(said, now),
        "digest": digest(said.digest) if isinstance(said.digest, list) else said.digest,
        "ruleLanguage": 1,
        "timeZoneData": "2026.1",
    }


def valid_until(said: Page, now: datetime) -> str:
    """Seven days ahead, unless the page says otherwise."""
    return (said.valid_until or now + VALID).isoformat()


def epoch_of(name: str) -> str:
    """The epoch that a case calls so."""
    return str(uuid5(NAMESPACE_URL, f"epoch:{name}"))


def digest(entities: Collection[str]) -> str:
    """What `digest` has to be of entities such as `persona/ada@7`."""
    lines = [f"{kind}\t{id_}\t{version}\n".encode() for kind, id_, version in map(_parts, entities)]
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def _parts(entity: str) -> tuple[str, str, str]:
    at, _, version = entity.rpartition("@")
    kind, _, id_ = at.partition("/")
    return kind, id_, version


def _item(change: Change) -> Body:
    kind, _, id_ = str(change.delete if change.put is UNSET else change.put).partition("/")
    told = {"kind": kind, "id": id_, "version": change.version}
    if kind == "persona":
        told["ref"] = id_ if change.ref is UNSET else change.ref
    if change.put is UNSET:
        return {**told, "op": "delete", **({"erased": True} if change.erased else {})}
    body = persona(id_, change.version) if kind == "persona" else mapper(id_, change.version)
    return {**told, "op": "put", "body": {**body, **change.with_}}


def persona(id_: str, version: int) -> Body:
    """A persona who works in the morning, and whose summary says its version."""
    trait = {"value": "morning", "weight": 12.0, "samples": 12, "source": "period"}
    return {
        "id": id_,
        "people": [id_],
        "core": {
            "summary": f"{id_} at {version}",
            "traits": {"rhythm.period": {**trait, "lastObservedAt": "2026-03-01T09:00:00Z"}},
            "source": "composed",
        },
        "overlay": {},
        "isStale": False,
        "coreVersion": version,
        "mindscapeVersions": {id_: version},
    }


def mapper(id_: str, version: int) -> Body:
    """A mapper with one rule, `early`, that fires for who works in the morning."""
    check = {"path": "rhythm.period", "operator": "equals", "value": "morning"}
    suggestion = {"type": "note", "title": "Early", "description": "Begin early.", "priority": "medium"}
    rule = {
        "id": "early",
        "description": "",
        "enabled": True,
        "priority": 0,
        "conditions": {"all": [{"trait_check": check}]},
        "actions": [{"generate_suggestion": {**suggestion, "metadata": {}, "parameters": {}}}],
        "weight": 1.0,
    }
    feedback = {"negative_threshold": 5, "negative_window_days": 7, "positive_adjustment": 0.1}
    document = {
        "metadata": {"id": id_, "version": "1.0.0", "description": "For mornings"},
        "required_traits": [],
        "trait_mappings": {},
        "conditions": {},
        "rules": [rule],
        "templates": {},
        "feedback_settings": {**feedback, "negative_adjustment": -0.2, "min_weight": 0.5, "max_weight": 2.0},
        "tests": [],
    }
    hash_ = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return {"id": id_, "version": 1, "hash": hash_, "document": document}
