"""Small documents of computed traits for tests."""

from __future__ import annotations

from typing import Any


def counting(
    id_: str, *paths: str, version: str = "1.0.0", observes: str = "reading_session", **more: Any
) -> dict[str, Any]:
    """A document whose traits, at these paths, count observations."""
    traits = [{"path": path, "aggregate": "count", "volatility": "low"} for path in paths]
    return {
        "metadata": {"id": id_, "version": version, "description": f"What {id_} counts"},
        "observes": observes,
        "traits": traits,
        **more,
    }


def case(traits: dict[str, Any], *observations: dict[str, Any], name: str = "a case") -> dict[str, Any]:
    """A test inside such a document."""
    return {"name": name, "given": {"observations": list(observations)}, "expect": {"traits": traits}}
