"""Sends observations to the service in batches, and counts what became of them.

Every observation has its id, so a batch that got lost may be sent again, and so may a whole import that
was killed: what is stored already is answered as a duplicate.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from personakit_sdk.transport import NO_PROBLEM_TYPE, ServiceError, Transport
from personakit_sdk.wire import BatchAnswer, BatchResult, Observation

BATCH_ITEMS = 500
BATCH_BYTES = 1_000_000
PROBLEMS_KEPT = 20

Report = Callable[[str, int, int | None], None]
"""Called as work goes on with what is being done, how many are done, and of how many if that is known."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an import did. `changed` were recorded earlier with another body, which was kept.

    `position` is where in the log the newest of them stands. `invalid` could not be read and were not
    sent. `problems` are the first twenty reasons of what was rejected or invalid, `notes` what a person
    may want to know.
    """

    sent: int = 0
    stored: int = 0
    duplicates: int = 0
    changed: int = 0
    rejected: int = 0
    invalid: int = 0
    position: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything that was meant to be recorded is."""
        return self.rejected == 0 and self.invalid == 0


def deliver(
    transport: Transport,
    observations: Iterable[Observation],
    report: Report,
    *,
    total: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Send all `observations`, which bear ids. Raises what `transport` raises when a batch fails whole."""
    started = clock()
    summary = Summary()
    for batch in _batches(observations):
        summary = _counted(summary, _send(transport, batch))
        report("sending", summary.sent, total)
    return msgspec.structs.replace(summary, seconds=round(clock() - started, 3))


def _batches(observations: Iterable[Observation]) -> Iterator[list[bytes]]:
    """Encoded observations, at most BATCH_ITEMS and BATCH_BYTES together (one that is larger goes alone)."""
    batch: list[bytes] = []
    size = 0
    for line in map(msgspec.json.encode, observations):
        if batch and (len(batch) == BATCH_ITEMS or size + len(line) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        yield batch


def _send(transport: Transport, batch: Sequence[bytes]) -> list[BatchResult]:
    """One settled result for each line. What the service asks to send again is sent again, after a wait."""
    results: list[BatchResult] = []
    backoff = transport.backoff()
    waiting = list(batch)
    while True:
        answered = _post(transport, waiting)
        results += [result for result in answered if result.status != "retry"]
        waiting = [line for line, result in zip(waiting, answered, strict=True) if result.status == "retry"]
        if not waiting:
            return results
        wait = backoff.next()
        if wait is None:
            detail = f"The service was too busy to take {len(waiting)} observations; import again to go on."
            raise ServiceError(503, NO_PROBLEM_TYPE, detail)
        transport.pause(wait)


def _post(transport: Transport, batch: Sequence[bytes]) -> list[BatchResult]:
    reply = transport.request(
        "POST",
        "/observations/batch",
        body=b"\n".join(batch),
        headers={"Content-Type": "application/x-ndjson"},
        idempotent=True,
    )
    results = reply.decode(BatchAnswer).results
    if len(results) != len(batch):
        detail = f"The service answered {len(results)} results for a batch of {len(batch)} observations."
        raise ServiceError(reply.status, NO_PROBLEM_TYPE, detail)
    return results


def _counted(summary: Summary, results: Sequence[BatchResult]) -> Summary:
    refused = [result for result in results if result.status == "rejected"]
    reasons = [_reason(result) for result in refused if not _is_conflict(result)]
    return msgspec.structs.replace(
        summary,
        sent=summary.sent + len(results),
        stored=summary.stored + sum(result.status == "stored" for result in results),
        duplicates=summary.duplicates + sum(result.status == "duplicate" for result in results),
        changed=summary.changed + len(refused) - len(reasons),
        rejected=summary.rejected + len(reasons),
        position=max(summary.position, *(result.position or 0 for result in results)),
        problems=tuple(itertools.islice(itertools.chain(summary.problems, reasons), PROBLEMS_KEPT)),
    )


def _is_conflict(result: BatchResult) -> bool:
    return result.problem is not None and result.problem.status == 409


def _reason(result: BatchResult) -> str:
    problem = result.problem.detail if result.problem else "the service gave no reason"
    return f"{result.id}: {problem}" if result.id else problem
