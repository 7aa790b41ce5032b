"""The votes on a mapper, read as of a day: each with the weight of its age, summed exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

from personakit.domain.adjustment import Beliefs, Votes, believed
from personakit.domain.learning import SLOWER, Evidence, Settings, Tally, day_weight
from personakit.domain.mapper import Shown
from personakit.projections.read import Reader, Snapshot


class VotesOn:
    """Those on one mapper as of one day, read once for each half-life that is asked for, and what documents
    make believe by them."""

    def __init__(self, reader: Reader, tenant: str, mapper_id: str, today: date) -> None:
        self._reader = reader
        self._tenant = tenant
        self._mapper_id = mapper_id
        self._today = today
        self._read: dict[int, Votes] = {}
        self._believed: dict[str, Beliefs] = {}

    def beliefs(self, shown: Shown) -> Beliefs:
        """What a mapper's document makes believe."""
        if shown.hash not in self._believed:
            self._believed[shown.hash] = believed(shown.document, self.by(shown.document))
        return self._believed[shown.hash]

    def by(self, document: Mapping[str, Any]) -> Votes:
        """As a mapper's document weighs them."""
        half_life = Settings.of(document).half_life_days
        if half_life not in self._read:
            with self._reader.snapshot(self._tenant) as snapshot:
                self._read[half_life] = read_votes(
                    snapshot, self._tenant, self._mapper_id, half_life, self._today
                )
        return self._read[half_life]


def read_votes(snapshot: Snapshot, tenant: str, mapper_id: str, half_life_days: int, today: date) -> Votes:
    """The votes on a mapper, those of the last `half_life_days` counting half and more."""
    asked = {"tenant": tenant, "mapper_id": mapper_id}
    days = [row["day"] for row in snapshot.rows("votes.days", **asked)]
    rows = snapshot.rows(
        "votes.tallies",
        **asked,
        days=days,
        recent=[day_weight((today - day).days, half_life_days) for day in days],
        history=[day_weight((today - day).days, SLOWER * half_life_days) for day in days],
    )
    voters = {row["persona"]: row["position"] for row in snapshot.rows("votes.voters", **asked)}
    return Votes(_by_persona(rows), voters)


def _by_persona(rows: Iterable[dict[str, Any]]) -> dict[UUID, dict[str, Evidence]]:
    found: dict[UUID, dict[str, Evidence]] = {}
    for row in rows:
        recent = Tally(int(row["recent_good"]), int(row["recent_bad"]))
        history = Tally(int(row["history_good"]), int(row["history_bad"]))
        found.setdefault(row["persona"], {})[row["rule_id"]] = Evidence(recent, history)
    return found
