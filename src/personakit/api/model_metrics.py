"""What `/metrics` says of models: read from the database, so that whichever process is asked answers for all.
No label names a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from personakit.agents.service import Service

KINDS: Final = ("input", "output", "cache_read", "cache_write")


class ModelCollector(Collector):
    """Calls, tokens, USD, what was dropped, what waits, and on how much work failed lately."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Nothing while the database is away: `personakit_log_readable` says so."""
        try:
            with self._service.reader.snapshot_of_all() as snapshot:
                totals = snapshot.rows("model_use.totals")
                dropped = snapshot.rows("model_use.dropped_totals")
                backlog = snapshot.rows("inference_due.backlog")
            failing = self._service.leases.failing()
        except (psycopg.Error, PoolTimeout):
            return
        yield from _used(totals)
        refused = CounterMetricFamily(
            "personakit_model_dropped",
            "What models said and was not taken",
            labels=("tenant", "agent", "reason"),
        )
        for row in dropped:
            refused.add_metric((row["tenant"], row["agent"], row["reason"]), row["dropped"])
        yield refused
        yield from _waiting(backlog)
        work = GaugeMetricFamily(
            "personakit_model_failing",
            "On how many people or personas it failed lately",
            labels=("tenant", "work"),
        )
        for tenants_work, entities in failing.items():
            work.add_metric(tenants_work, entities)
        yield work


def _waiting(backlog: list[dict[str, Any]]) -> Iterator[Metric]:
    people = GaugeMetricFamily("personakit_inference_people", "Whose free text waits", labels=("tenant",))
    tokens = GaugeMetricFamily("personakit_inference_tokens", "How much of it waits", labels=("tenant",))
    for row in backlog:
        people.add_metric((row["tenant"],), row["people"])
        tokens.add_metric((row["tenant"],), row["tokens"])
    yield from (people, tokens)


def _used(totals: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ("tenant", "agent", "model")
    calls = CounterMetricFamily("personakit_model_calls", "Calls that were paid", labels=labels)
    usd = CounterMetricFamily("personakit_model_usd", "What they cost", labels=labels)
    tokens = CounterMetricFamily("personakit_model_tokens", "Tokens of them", labels=(*labels, "kind"))
    for row in totals:
        whose = (row["tenant"], row["agent"], row["model"])
        calls.add_metric(whose, row["calls"])
        usd.add_metric(whose, row["usd"])
        for kind in KINDS:
            tokens.add_metric((*whose, kind), row[f"{kind}_tokens"])
    yield from (calls, usd, tokens)
