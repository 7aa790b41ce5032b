"""A habit tracker at the command line that works without a network.

    habit_tracker.py log running minutes=30     what was done: on the disk at once, sent when it can be
    habit_tracker.py today                      what the mapper suggests now, from the cache
    habit_tracker.py helpful sug_…              that was a good one
    habit_tracker.py sync                       send what waits, fetch what changed

Settings: PERSONAKIT_URL, PERSONAKIT_API_KEY, PERSON, MAPPER, and HABITS, the store file.
"""

from __future__ import annotations

import os
import sys

from personakit_sdk import NotCached, PersonaKit, PersonaKitError, Unreachable

PERSON = os.environ.get("PERSON", "me")
MAPPER = os.environ.get("MAPPER", "wellbeing_companion")


def main(arguments: list[str]) -> int:
    command, *rest = arguments or ["today"]
    kit = PersonaKit(
        os.environ.get("PERSONAKIT_URL", "http://127.0.0.1:8042"),
        os.environ["PERSONAKIT_API_KEY"],
        store=os.environ.get("HABITS", "habits.db"),
        background=False,  # a command is over before a thread could do much
    )
    with kit:
        try:
            {"log": log, "today": today, "helpful": helpful, "sync": sync}[command](kit, *rest)
        except PersonaKitError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


def log(kit: PersonaKit, habit: str, *facts: str) -> None:
    """Records that a habit was done, with facts such as minutes=30."""
    content: dict[str, object] = {"habit": habit}
    for fact in facts:
        name, _, value = fact.partition("=")
        content[name] = float(value) if value.replace(".", "", 1).isdigit() else value
    kit.observe(PERSON, "habit", content, source="habit-tracker")
    print(f"Noted. {kit.status().outbox.waiting} to be sent.")


def today(kit: PersonaKit) -> None:
    """Shows what is suggested now, whether the service is there or not."""
    try:
        answer = kit.map_persona(MAPPER, PERSON)
    except NotCached as error:
        print(f"Nothing yet: {error}")
        return
    for suggestion in answer.suggestions:
        print(f"- {suggestion.title}: {suggestion.description}  ({suggestion.id})")
    stale = f", core stale since {answer.persona.stale_since}" if answer.persona.is_stale else ""
    print(f"As of {answer.data.seconds / 60:.0f} minutes ago{stale}.")


def helpful(kit: PersonaKit, suggestion_id: str) -> None:
    """Says that a suggestion was a good one."""
    kit.feedback(suggestion_id, helpful=True)
    print("Thank you.")


def sync(kit: PersonaKit) -> None:
    """Sends what waits and fetches what changed, as far as the service can be reached."""
    try:
        sent = kit.flush(timeout=10)
        cache = kit.sync().cache
    except Unreachable as error:
        print(f"Not now: {error}")
        return
    print(f"{'All' if sent else 'Not all'} is sent; {cache.personas} personas, {cache.mappers} mappers.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
