"""What `/metrics` says of learning: read from the database, so that whichever process is asked answers for
all. No label names a mapper or a person."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from personakit.agents.service import Service


class LearningCollector(Collector):
    """How often what was learned of mappers changed, and why; and for how many personas there is any."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Nothing while the database is away: `personakit_log_readable` says so."""
        try:
            with self._service.reader.snapshot_of_all() as snapshot:
                causes = snapshot.rows("mapper_versions.causes")
                own = snapshot.rows("personas.with_weights")
        except (psycopg.Error, PoolTimeout):
            return
        adjusted = CounterMetricFamily(
            "personakit_adjustments",
            "Versions of mappers that have other multipliers",
            labels=("tenant", "cause"),
        )
        for row in causes:
            adjusted.add_metric((row["tenant"], row["cause"]), row["times"])
        yield adjusted
        personas = GaugeMetricFamily(
            "personakit_adjusted_personas",
            "Personas that have multipliers of their own",
            labels=("tenant",),
        )
        for row in own:
            personas.add_metric((row["tenant"],), row["personas"])
        yield personas
