"""A mapper of fifty rules over some twenty traits, as an application of some years would have."""

from __future__ import annotations

from typing import Any, Final

from bench.history import LANGUAGES

MAPPER_ID: Final = "fifty_rules"
PERIODS: Final = ("morning", "afternoon", "evening", "night")
DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STEPS: Final = (
    ("work.commit_size.p50", "greater", (30, 80, 200)),
    ("work.commit_size.p90", "greater", (150, 400)),
    ("work.recent_commit_size", "less", (10, 25)),
    ("work.focus_duration.p50", "less", (20, 35)),
    ("work.focus_duration.p90", "greater_or_equal", (90, 150)),
    ("work.commit_hours.share", "greater", (0.5, 0.8)),
    ("work.commit_days.weekend_share", "greater", (0.3, 0.5)),
    ("work.commits", "greater_or_equal", (40, 100)),
    ("work.sessions", "greater_or_equal", (30, 60)),
    ("calendar.meeting_minutes", "greater", (50, 75)),
    ("calendar.meetings", "greater", (15, 40)),
    ("wellbeing.mood", "less", (1.5, 2.5)),
    ("wellbeing.energy", "less", (1.5, 2.2)),
    ("wellbeing.stress", "greater", (3.2, 4)),
    ("wellbeing.sleep_hours", "less", (5.5, 6.3)),
)
"""A trait, how it is compared, and from where on there is something to say."""


def fifty_rules() -> dict[str, Any]:
    """The document, to be uploaded as JSON."""
    rules = [*_languages(), *_times_of_day(), *_thresholds()]
    return {
        "metadata": {
            "id": MAPPER_ID,
            "version": "1.0.0",
            "name": "Fifty rules",
            "description": "A mapper of a usual size",
        },
        "rules": [{**rule, "priority": number % 7} for number, rule in enumerate(rules)],
    }


def _languages() -> list[dict[str, Any]]:
    """One a language, for those whose work is mostly in it and goes on."""
    return [
        _rule(
            f"at_home_in_{language.lower()}",
            {
                "all": [
                    _trait("work.main_language", "equals", language),
                    _trait("work.commits", "greater_or_equal", 10),
                    {"not": _trait("work.languages.3", "exists")},
                ]
            },
            "craft",
            {"commits": {"from_trait": "work.commits"}},
        )
        for language in LANGUAGES
    ]


def _times_of_day() -> list[dict[str, Any]]:
    """Four that look at the habit alone, four at the habit and the clock."""
    habit = [_rule(f"{period}_person", _period(period), "timing", _HOUR) for period in PERIODS]
    now = [
        _rule(
            f"now_is_your_{period}",
            {"all": [_period(period), {"time_check": {"period": period, "day_of_week": list(DAYS[:5])}}]},
            "timing",
            _HOUR,
        )
        for period in PERIODS
    ]
    return [*habit, *now]


def _thresholds() -> list[dict[str, Any]]:
    """One a step: the trait is beyond it, and nobody is in a meeting; every third asks for confidence."""
    steps = [(path, operator, value) for path, operator, values in _STEPS for value in values]
    return [
        _rule(
            f"{path.replace('.', '_')}_{number}",
            {
                "all": [
                    _trait(path, operator, value, 0.3 if number % 3 == 0 else None),
                    {"not": _IN_A_MEETING},
                ]
            },
            path.split(".", maxsplit=1)[0],
            {"seen": {"from_trait": path, "transform": "round"}},
        )
        for number, (path, operator, value) in enumerate([*steps, ("wellbeing.check_ins", "greater", 12)])
    ]


_HOUR: Final = {"hour": {"from_trait": "work.commit_hours.peak"}}
_IN_A_MEETING: Final = {"context_check": {"field": "in_meeting", "operator": "equals", "value": True}}


def _period(period: str) -> dict[str, Any]:
    return _trait("work.commit_hours.period", "equals", period)


def _trait(path: str, operator: str, value: Any = None, confidence: float | None = None) -> dict[str, Any]:
    check = {"path": path, "operator": operator, "value": value, "min_confidence": confidence}
    return {"trait_check": {name: given for name, given in check.items() if given is not None}}


def _rule(id_: str, conditions: dict[str, Any], type_: str, parameters: dict[str, Any]) -> dict[str, Any]:
    shown = " ".join(f"{{{name}}}" for name in parameters)
    suggestion = {
        "type": type_,
        "title": id_.replace("_", " ").capitalize(),
        "description": f"What your work shows is {shown}. Take ten minutes today to see what follows.",
        "parameters": parameters,
    }
    return {
        "id": id_,
        "description": f"Speaks when {id_.replace('_', ' ')}",
        "conditions": conditions,
        "actions": [{"generate_suggestion": suggestion}],
    }
