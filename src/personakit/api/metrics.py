"""`/metrics`: how the service does, for Prometheus. Labels name tenants, routes, projections.

What a tenant does bears its name: one that a key opened, so that there are no more than those there are.

Where several processes serve one port, whichever is asked answers for all (`shared_counts.py`).
"""

from __future__ import annotations

import os
from collections import Counter as Counted
from collections.abc import Iterator, Sequence

import psycopg
from eventsourcing.persistence import PersistenceError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from personakit.agents.service import Service
from personakit.api.learning_metrics import LearningCollector
from personakit.api.model_metrics import ModelCollector
from personakit.api.shared_counts import SHARED_FOLDER, forget_the_dead
from personakit.eventlog.recorder import Appended

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What is counted in this process, and what is read of the log when somebody asks."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._counted = CollectorRegistry()
        self._requests = Counter(
            "personakit_http_requests",
            "Answers",
            ("tenant", "method", "route", "status"),
            registry=self._counted,
        )
        self._seconds = Histogram(
            "personakit_http_request_seconds",
            "From a request to the end of its answer",
            ("method", "route"),
            buckets=SECONDS,
            registry=self._counted,
        )
        self._appended = Counter(
            "personakit_appended_events",
            "Events that were appended to the log",
            ("tenant",),
            registry=self._counted,
        )
        self._duplicates = Counter(
            "personakit_duplicate_events",
            "Events that were in the log already",
            ("tenant",),
            registry=self._counted,
        )
        self._on_gone_rules = Counter(
            "personakit_feedback_on_gone_rules",
            "Feedback on rules that the mapper in use does not have",
            ("tenant",),
            registry=self._counted,
        )
        self._queue = Gauge(
            "personakit_appender_queue",
            "Submissions that wait to be appended",
            registry=self._counted,
            multiprocess_mode="livesum",
        )
        self._queue_bytes = Gauge(
            "personakit_appender_queue_bytes",
            "Bytes of what waits to be appended, or is being appended",
            registry=self._counted,
            multiprocess_mode="livesum",
        )
        self._known: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self._log = CollectorRegistry()
        self._log.register(LogCollector(service))
        self._log.register(ModelCollector(service))
        self._log.register(LearningCollector(service))

    def answered(self, tenant: str, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answer; `tenant` is empty where no key opened one. Methods of callers' own making count
        together: there is no end to them."""
        if method not in METHODS:
            method = "OTHER"
        key = (tenant, method, route, status)
        if key not in self._known:
            self._known[key] = self._requests.labels(*map(str, key)), self._seconds.labels(method, route)
        count, duration = self._known[key]
        count.inc()
        duration.observe(seconds)

    def feedback_on_gone_rule(self, tenant: str) -> None:
        """Counts feedback that is kept and teaches nothing as long as its rule does not come back."""
        self._on_gone_rules.labels(tenant).inc()

    def appended(self, events: Sequence[Appended]) -> None:
        """Counts what became of a group of events."""
        for (tenant, duplicate), number in Counted((each.tenant, each.duplicate) for each in events).items():
            (self._duplicates if duplicate else self._appended).labels(tenant).inc(number)
        self._look_at_queue()

    def page(self) -> bytes:
        """All of it, in the text format."""
        self._look_at_queue()
        counted = self._counted
        if SHARED_FOLDER in os.environ:
            forget_the_dead()
            counted = CollectorRegistry()
            MultiProcessCollector(counted)  # type: ignore[no-untyped-call]  # the library's
        return generate_latest(counted) + generate_latest(self._log)

    def _look_at_queue(self) -> None:
        self._queue.set(self._service.appender.waiting)
        self._queue_bytes.set(self._service.appender.waiting_bytes)


class LogCollector(Collector):
    """Reads, when asked, how far the log has come and how far each projection lags behind it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """A family a figure, a sample a projection; with the database away, only that it is away."""
        readable = GaugeMetricFamily("personakit_log_readable", "Whether the database answers")
        try:
            states = [state for state in self._service.reader.states() if state.state == "active"]
            conflicts = self._service.streams.conflicts.totals()
        except (psycopg.Error, PersistenceError, PoolTimeout):
            readable.add_metric((), 0)
            yield readable
            return
        readable.add_metric((), 1)
        yield readable
        yield GaugeMetricFamily("personakit_log_position", "The newest position", states[0].head)
        met = CounterMetricFamily(
            "personakit_conflicts",
            "Version conflicts that were met and re-applied",
            labels=("tenant", "work"),
        )
        for tenants_work, times in conflicts.items():
            met.add_metric(tenants_work, times)
        yield met
        figures: dict[str, tuple[str, list[float]]] = {
            "position": ("How far it has come", [state.position for state in states]),
            "lag_events": ("Events it has not taken", [state.lag_events for state in states]),
            "lag_seconds": ("Age of the oldest of them", [state.lag_seconds for state in states]),
            "quarantined_streams": ("Streams that stand still in it", [s.quarantined for s in states]),
        }
        for figure, (said, values) in figures.items():
            family = GaugeMetricFamily(f"personakit_projection_{figure}", said, labels=("projection",))
            for state, value in zip(states, values, strict=True):
                family.add_metric((state.name,), value)
            yield family
