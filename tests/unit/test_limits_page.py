"""The reference page of the limits says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from personakit.agents.service import BESIDE, OWNING, READING, WRITING
from personakit.api import (
    gate,
    guesses,
    metrics_page,
    position_waits,
    readiness,
    slow_readers,
    streamed,
)
from personakit.api.answers import MAX_PAGE
from personakit.api.bodies import MAX_BODY, MAX_ITEM
from personakit.api.dependencies import LONGEST_KEY
from personakit.api.observations import MAX_BATCH
from personakit.api.problems import _TABLE
from personakit.api.shares import Shares
from personakit.api.sync import waiting
from personakit.api.sync.pull import MOST_SECONDS
from personakit.api.sync.pushed import MOST_ITEMS
from personakit.cli.listening import CONNECTIONS, HEAD_BYTES, HEAD_SECONDS
from personakit.config import WebSettings
from personakit.domain.curation import MOST_PINS
from personakit.domain.grant import MOST_NAMED
from personakit.domain.rate import BURST_SECONDS
from personakit.eventlog import appender
from personakit.eventlog.answers import WAIT_SECONDS
from personakit.eventlog.recorder import STATEMENT_SECONDS
from personakit_sdk.rules.limits import Limits
from personakit_sdk.storable import MAX_DEPTH

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "limits.md").read_text(encoding="utf-8")
KIB, MIB = 1024, 1024 * 1024
MAPPER = Limits()
LIMITS = {
    "head of a request": f"{HEAD_BYTES // KIB} KiB",
    "body": f"{MAX_BODY // MIB} MiB",
    "one observation, or feedback": f"{MAX_ITEM // KIB} KiB",
    "depth of what is stored": f"{MAX_DEPTH}",
    "observations in a batch": f"{MAX_BATCH}",
    "items in a push": f"{MOST_ITEMS}",
    "items on a page": f"{MAX_PAGE}",
    "`Idempotency-Key`": f"{LONGEST_KEY} characters",
    "pins of a person": f"{MOST_PINS:,}",
    "people and personas of a limited key": f"{MOST_NAMED:,}",
    "a mapper": f"{MAPPER.document_bytes // KIB} KiB, {MAPPER.rules:,} rules, "
    f"{MAPPER.conditions} conditions a rule, {MAPPER.depth} deep",
    "from the opening of a connection, or the end of an answer, to the end of the next head": (
        f"{HEAD_SECONDS} s"
    ),
    "from there to the end of the body": f"{gate.BODY_SECONDS:.0f} s",
    "in line, before it is worked on, and again after it read its body or waited for something": (
        f"{gate.LINE_SECONDS:.0f} s"
    ),
    "for a position (`PersonaKit-Min-Position`)": f"{position_waits.MIN_POSITION_SECONDS:.0f} s",
    "for a change (`wait` of `GET /sync`)": f"{MOST_SECONDS} s",
    "for an append": f"{WAIT_SECONDS:.0f} s",
    "a statement that reads from the database": f"{STATEMENT_SECONDS} s",
    "an answer that nobody reads": f"{slow_readers.UNREAD_SECONDS} s",
    "whether the service is ready": f"{readiness.LOOK_SECONDS:.0f} s",
    "connections": f"{CONNECTIONS:,}",
    "requests at work": f"{gate.AT_WORK}",
    "requests in line": f"{gate.IN_LINE}",
    "bodies held, with those that are not complete": f"{gate.BODIES_BYTES // MIB} MiB, shared",
    "requests that wait for a position": f"{position_waits.MOST_WAITING}, shared",
    "requests that wait for a change": f"{waiting.MOST_WAITING}, shared",
    "answers that are streamed (`GET /people/{id}/export`)": f"{streamed.MOST_STREAMED}, shared",
    "figures (`/metrics`)": "made once a second" if metrics_page.PAGE_SECONDS == 1 else "",
    "submissions that wait to be appended": f"{appender.QUEUE_SIZE:,}",
    "bytes of events that wait to be appended": f"{appender.QUEUE_BYTES // MIB} MiB",
    "requests a second": f"its own rate, or `PERSONAKIT_RATE_REQUESTS`: {WebSettings().requests_rate:,.0f}",
    "observations and feedback a second": (
        f"its own rate, or `PERSONAKIT_RATE_ITEMS`: {WebSettings().items_rate:,.0f}"
    ),
    "keys that open nothing, from one address": f"{guesses.A_SECOND:.0f} a second",
}
UNCHECKED = {
    "numbers": "64 bits, or a double",
    "a person's id": "128 characters",
    "connections to the database": "75",
}


def rows() -> dict[str, tuple[str, str]]:
    """What is limited, to what, and what happens beyond it."""
    cells = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    return {what: (limit, beyond) for what, limit, beyond in cells if what != "what"}


def test_the_page_says_each_limit_that_the_code_has() -> None:
    assert {what: limit for what, (limit, _) in rows().items()} == LIMITS | UNCHECKED
    assert f"in the last {BURST_SECONDS:.0f} seconds" in PAGE
    assert f"{guesses.MOST_ADDRESSES:,} of them" in PAGE


def test_the_page_says_what_one_key_has_of_what_is_shared() -> None:
    assert f"One key alone has {gate.BODIES_BYTES // MIB // 2} MiB of bodies" in PAGE
    assert position_waits.MOST_WAITING == waiting.MOST_WAITING
    assert f"{waiting.MOST_WAITING // 2} waiting requests of each kind" in PAGE
    assert f"and {streamed.MOST_STREAMED // 2} streamed answers" in PAGE
    assert (keys_to_have_all(waiting.MOST_WAITING), keys_to_have_all(streamed.MOST_STREAMED)) == (9, 6)


def keys_to_have_all(most: int) -> int:
    shares, keys = Shares(most), 0
    while shares.take(str(keys)):
        while shares.take(str(keys)):
            pass
        keys += 1
    return keys


def test_a_process_stays_within_its_connections_to_the_database() -> None:
    """The pools of the three roles, that of the log with its overflow, and the three that listen."""
    of_roles = sum(most for _, most in (WRITING, READING, BESIDE, OWNING))
    assert int(UNCHECKED["connections to the database"]) == of_roles + 4 + 16 + 3


def test_what_happens_beyond_a_limit_is_a_problem_that_there_is() -> None:
    known = {(status, slug) for _, status, slug in _TABLE} | {(400, "invalid-request"), (503, "unavailable")}
    for what, (_, beyond) in rows().items():
        for status, slug in re.findall(r"\b(4\d\d|503) `([a-z-]+)`", beyond):
            assert (int(status), slug) in known, what
