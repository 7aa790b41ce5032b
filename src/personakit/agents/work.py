"""The work of the agents: what each actor does when it is woken, and whom what it did wakes next.

Nothing rests on a wake-up: each asks the read models what is due, and the sweep wakes all of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from personakit.agents.adjuster import Adjuster
from personakit.agents.alone import alone_at
from personakit.agents.expiry import Expiry
from personakit.agents.inference_room import InferenceRoom
from personakit.agents.mindscaper import Mindscaper
from personakit.agents.regenerator import Regenerator
from personakit.agents.tenant_rules import TenantRules
from personakit.agents.wakeups import Wakeups
from personakit.projections.builds import Pool
from personakit.projections.follow import Followers
from personakit.projections.read import Reader

DEBOUNCE_SECONDS = 0.05
BUSY_SECONDS = 0.02
FAR_BEHIND, PATIENCE_SECONDS = 5000, 10.0
"""So many positions behind the log, followers go before derivations, which would see a part only and have
to come again; but not for longer than this."""
CORES = 100
"""How many first cores are composed from one reading."""


class Work:
    """The actors by name, over the agents that do the work."""

    def __init__(
        self,
        wakeups: Wakeups,
        pool: Pool,
        reader: Reader,
        rules: TenantRules,
        *,
        followers: Followers,
        mindscaper: Mindscaper,
        regenerator: Regenerator,
        adjuster: Adjuster,
        expiry: Expiry,
        inference: InferenceRoom | None,
    ) -> None:
        self._wakeups = wakeups
        self._pool = pool
        self._reader = reader
        self._rules = rules
        self._followers = followers
        self._mindscaper = mindscaper
        self._regenerator = regenerator
        self._adjuster = adjuster
        self._expiry = expiry
        self._inference = inference
        self._following = threading.Lock()
        self._derived_at = 0.0

    def actors(self) -> Mapping[str, Callable[..., None]]:
        """The actors by name, the most urgent first."""
        return {
            "follow": self._follow,
            "derive_due": self._derive_due,
            "derive": self._derive,
            "core_due": self._core_due,
            "infer_due": self._infer_due,
            "adjust_due": self._adjust_due,
            "expire": self._expire,
        }

    def wake_followers(self) -> None:
        """Something was appended."""
        self._wakeups.wake("follow")

    def sweep(self) -> None:
        """Makes up for wake-ups that were lost."""
        self._wakeups.forget_old()
        self.wake_followers()
        self._wakeups.wake("derive_due")
        self._wakeups.wake("core_due")
        if self._inference is not None:
            self._wakeups.wake("infer_due")
        self._wakeups.wake("adjust_due")
        self._wakeups.wake("expire")

    def _follow(self) -> None:
        if not self._following.acquire(blocking=False):
            self._wakeups.wake("follow", delay=BUSY_SECONDS)
            return
        try:
            step = self._followers.catch_up()
        finally:
            self._following.release()
        if step.busy:
            self._wakeups.wake("follow", delay=BUSY_SECONDS)
        if step.changed & {"observations", "derivation_due", "computed_traits"}:
            self._wakeups.wake("derive_due", delay=DEBOUNCE_SECONDS)
        if step.changed & {"mindscapes", "personas"}:
            self._wakeups.wake("core_due", delay=DEBOUNCE_SECONDS)
        if self._inference is not None and "inference_due" in step.changed:
            self._wakeups.wake("infer_due", delay=DEBOUNCE_SECONDS)
        if step.changed & {"votes", "mappers"}:
            self._wakeups.wake("adjust_due", delay=DEBOUNCE_SECONDS)

    def _derive_due(self) -> None:
        with self._reader.snapshot_of_all() as snapshot:
            now = time.monotonic()
            behind = self._reader.head() - snapshot.positions["observations"]
            if behind > FAR_BEHIND and now < self._derived_at + PATIENCE_SECONDS:
                return  # the followers wake this again when they are through
            self._derived_at = now
            due = snapshot.rows("derivation_due.due_buckets", **self._rules.asked(snapshot))
        for row in due:
            self._wakeups.wake("derive", str(row["bucket"]))

    def _derive(self, bucket: str) -> None:
        with alone_at(self._pool, f"bucket {bucket}") as alone:
            if alone:  # else what the other process appends will wake this one again
                self._mindscaper.derive_due(int(bucket))

    def _core_due(self) -> None:
        while self._regenerator.first_cores(CORES) == CORES:
            pass

    def _infer_due(self) -> None:
        if self._inference is not None:
            self._inference.calls.start_due()

    def _adjust_due(self) -> None:
        with alone_at(self._pool, "adjuster") as alone:
            again = self._adjuster.adjust_due(datetime.now(UTC).date()) if alone else None
        if again is not None:
            self._wakeups.wake("adjust_due", delay=again)

    def _expire(self) -> None:
        self._expiry.sweep(datetime.now(UTC))
