"""What is sent: observations, feedback and mappers, each with a mark that nothing else bears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LANGUAGES = ("Python", "Rust", "SQL", "Go")
PEOPLE = 30
COUNTED = "code_commit"
"""The type of observation that the trait `work.commits` counts, each once."""


class Items:
    """Makes bodies by chance; `name` tells its marks from those of others."""

    def __init__(self, name: str, chance: Random) -> None:
        self._name = name
        self._chance = chance
        self._made = 0

    def mark(self) -> str:
        """A word that no other body bears."""
        self._made += 1
        return f"{self._name}-{self._made}"

    def id(self) -> str:
        """A UUID by chance."""
        return str(UUID(int=self._chance.getrandbits(128), version=4))

    def person(self) -> str:
        """One of the people whom everybody writes about, or now and then somebody new."""
        if self._chance.random() < 0.01:
            return f"new-{self.mark()}"
        return f"person-{self._chance.randrange(PEOPLE)}"

    def observation(self, person: str | None = None, type_: str | None = None) -> dict[str, Any]:
        """An observation, with an id."""
        chance = self._chance
        content = {
            "mark": self.mark(),
            "lines_changed": chance.randrange(400),
            "languages": [chance.choice(LANGUAGES)],
            "merge": chance.random() < 0.1,
        }
        return {
            "id": self.id(),
            "personId": person or self.person(),
            "type": type_ or (COUNTED if chance.random() < 0.8 else "note"),
            "content": content,
            "occurredAt": (START + timedelta(minutes=chance.randrange(200_000))).isoformat(),
        }

    def feedback(self, person: str) -> dict[str, Any]:
        """Feedback on a rule of a shipped mapper, with an id."""
        return {
            "id": self.id(),
            "mapperId": "work_rhythm",
            "ruleId": "before_a_meeting",
            "personaId": person,
            "rating": self._chance.randint(1, 5),
            "comment": self.mark(),
        }

    def mapper(self) -> dict[str, Any]:
        """The next version of a mapper of this maker's own."""
        suggestion = {"type": "note", "title": "A thing", "description": f"Made as {self.mark()}."}
        return {
            "metadata": {
                "id": f"mapper_{self._name.replace('-', '_')}",
                "version": f"1.{self._made}.0",
                "description": f"Version {self._made}",
            },
            "rules": [
                {
                    "id": "a_rule",
                    "conditions": {"trait_check": {"path": "work.commits", "operator": "exists"}},
                    "actions": [{"generate_suggestion": suggestion}],
                }
            ],
        }
