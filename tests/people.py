"""People for tests of the log: each has a row and a key, as whoever is written about must."""

from __future__ import annotations

from uuid import uuid4

from personakit.eventlog.log_sql import SQL
from personakit.eventlog.person_keys import Person, PersonKeys
from personakit.eventlog.recorder import LogRecorder


def somebody(recorder: LogRecorder, keys: PersonKeys, tenant: str, person_id: str | None = None) -> Person:
    """Somebody of whom the log knows nothing yet; `person_id` is what a caller would call them."""
    surrogate = uuid4()
    values = {
        "tenant": tenant,
        "person_ids": [person_id or str(surrogate)],
        "people": [surrogate],
        "keys": [keys.new(tenant, surrogate)],
        "tombstones": [keys.tombstone(tenant, person_id or str(surrogate))],
        "word": keys.word,
    }
    with recorder.datastore.get_connection() as connection:
        connection.execute(SQL["add_people"], values)
    return Person(surrogate, keys.of(surrogate))
