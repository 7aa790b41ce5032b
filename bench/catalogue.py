"""What `make bench` measures: every key, its bound, its unit, and the group it is measured in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

Group = Literal[
    "ingest",
    "sustained",
    "serving",
    "map",
    "rebuild",
    "growth",
    "derive",
    "freshness",
    "rules",
    "learning",
    "sync",
    "sdk",
]


class Key(msgspec.Struct, frozen=True):
    """One figure. A bound of None means that it is reported only."""

    name: str
    group: Group
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "ratio"


OTHER_READ_MODELS: Final = (
    "changes",
    "computed_traits",
    "consents",
    "derivation_due",
    "feedback",
    "inference_due",
    "mapper_versions",
    "mappers",
    "model_use",
    "personas",
    "votes",
)
LEARNING: Final = {
    "30_votes": 0.9,
    "200_votes": 0.97,
    "changed": 0.9,
    "changed_30_votes": None,
    "rank_biased": 0.9,
    "rank_biased_less": None,
}
"""The bound of each scenario; what the plain rule makes of the same votes is reported beside it."""
KEYS: Final = (
    Key("ingest_batch_vs_copy", "ingest", at_least=0.4),
    Key("sustained_vs_copy", "sustained", at_least=0.1),
    Key("post_vs_hello", "serving", at_least=0.3),
    Key("post_vs_orm_peer", "serving", at_least=6),
    Key("map_vs_hello", "map", at_least=0.4),
    Key("rebuild_vs_copy", "rebuild", at_least=0.3),
    Key("rebuild_mindscapes_vs_copy", "rebuild", at_least=0.1),
    *(Key(f"rebuild_{name}_vs_copy", "rebuild") for name in OTHER_READ_MODELS),
    Key("growth_post", "growth", at_most=1.25),
    Key("growth_map", "growth", at_most=1.25),
    Key("growth_rebuild", "growth", at_most=1.25),
    Key("derive_per_s", "derive", unit="1/s"),
    Key("derive_per_s_one", "derive", unit="1/s"),
    Key("derive_growth", "derive", at_most=1.25),
    Key("sync_growth", "sync", at_most=1.3),
    Key("observe_vs_sqlite", "sdk", at_least=0.6),
    Key("map_offline_vs_engine", "sdk", at_most=3),
    Key("import_vs_deps", "sdk", at_most=1.4),
    Key("drain_per_s", "sdk", unit="1/s"),
    Key("freshness_p99_ms", "freshness", unit="ms"),
    Key("freshness_redis_p99_ms", "freshness", unit="ms"),
    Key("rules_vs_interpreter", "rules", at_least=25),
    Key("rules_vs_zen", "rules", at_least=4),
    *(
        Key(f"rules_{size}_{what}", "rules", unit=unit)
        for size in (100, 1_000, 10_000)
        for what, unit in (("us", "us"), ("compile_ms", "ms"), ("mib", "MiB"))
    ),
    *(
        Key(f"learning_{scenario}{ending}", "learning", at_least=bound, unit="rho")
        for scenario, least in LEARNING.items()
        for ending, bound in (("", least), ("_plain", None))
    ),
)
BY_NAME: Final = {key.name: key for key in KEYS}


def read_model_of(key: str) -> str:
    """The read model that a `rebuild_…` key is about; `rebuild_vs_copy` is about `observations`."""
    return key.removeprefix("rebuild_").removesuffix("vs_copy").rstrip("_") or "observations"


def choose(only: str | None) -> tuple[Key, ...]:
    """The keys named in `only`, between commas; all for None. Raises ValueError for one that is none."""
    if not only:
        return KEYS
    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in names if name not in BY_NAME]:
        raise ValueError(f"There is no key {unknown[0]!r}; there are: {', '.join(BY_NAME)}.")
    return tuple(key for key in KEYS if key.name in names)


def groups(keys: Iterable[Key]) -> dict[Group, list[Key]]:
    """The keys by group, in the order in which groups are measured."""
    grouped: dict[Group, list[Key]] = {}
    for key in keys:
        grouped.setdefault(key.group, []).append(key)
    return grouped
