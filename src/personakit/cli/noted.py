"""What a command reads of people past the API stands in the audit as well."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from personakit.config import DEFAULT_AUDIT_DAYS
from personakit.eventlog.audit import CHUNK, CLI, COMMAND_STATUS, Audit
from personakit.eventlog.everybody import Known
from personakit.eventlog.recorder import LogRecorder


def noted(recorder: LogRecorder, tenant: str, command: str, people: Iterable[Known]) -> Iterator[Known]:
    """The people, each noted as read by the command when it comes to them."""
    audit, by = Audit(recorder, DEFAULT_AUDIT_DAYS), (tenant, CLI, command, COMMAND_STATUS)
    try:
        for number, known in enumerate(people, start=1):
            audit.note(by, [known.surrogate], time.time())
            if number % CHUNK == 0:
                audit.keep()
            yield known
    finally:
        audit.keep()
