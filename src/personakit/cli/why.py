"""`personakit why`: the whole chain behind a suggestion, from its rule down to the observations."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import msgspec
from msgspec import UNSET

from personakit.cli.connection import connect
from personakit.cli.options import json_option, with_settings
from personakit.cli.taught import taught
from personakit.config import Settings
from personakit_sdk.rules.explain import LearnedFrom
from personakit_sdk.wire import ConsentThen, TraitThere, Why


@click.command()
@click.argument("suggestion_id", metavar="SUGGESTION_ID")
@click.option("--context", metavar="JSON", help="The context that it was asked with.")
@json_option
@with_settings
def why(settings: Settings, *, suggestion_id: str, context: str | None, as_json: bool) -> None:
    """Why a suggestion was made: its rule with what each condition saw, the traits as they were then, what
    made them so, and the observations behind them."""
    reply = connect(settings).request(
        "GET", f"/suggestions/{quote(suggestion_id, safe='')}", query={"context": context}
    )
    if as_json:
        click.echo(reply.body)
        return
    for line in told(reply.decode(Why)):
        click.echo(line)


def told(why: Why) -> list[str]:
    """The chain, a line for each link, what lies behind it further in."""
    rule = why.explanation
    title = why.suggestion.title if why.suggestion is not None else "(not made again: see its conditions)"
    head = [
        f"{title}",
        f"  for {why.persona_id} at {why.at.isoformat()}, rank {why.rank}",
        f"  by rule {why.rule_id} of {why.mapper.id}, version {why.mapper.version}",
        f"  {rule['detail']}",
        f"  weight {rule['weight']:g}, learned {rule['learned']:g}, score {rule['score']:g}",
        *(f"    {line}" for line in _taught(rule)),
        "",
    ]
    conditions = ["Its conditions saw", *_conditions(rule["conditions"], 1)]
    traits = [line for trait in why.traits for line in _trait(trait)]
    there = f"The traits as they were at position {why.position}"
    return [*head, *_consent(why.consent), *conditions, "", there, *traits]


def _consent(then: ConsentThen) -> list[str]:
    """What there was of consent, where it was required."""
    if then.withheld is not None:
        return ["Nothing was to be mapped then", f"  {then.withheld.reason}", ""]
    if then.policy == "off":
        return []
    return ["Consent was required then, and given", f"  to {', '.join(then.purposes)}", ""]


def _taught(rule: dict[str, Any]) -> list[str]:
    return taught(msgspec.convert(rule["learnedFrom"], LearnedFrom) if "learnedFrom" in rule else UNSET)


def _conditions(outcome: dict[str, Any], depth: int) -> list[str]:
    mark = "yes" if outcome["holds"] else "no "
    indent = "  " * depth
    if outcome["kind"] in ("all", "any", "not"):
        said = outcome["kind"]
    elif outcome["kind"] == "condition":
        said = f"condition {outcome.get('name', '')}"
    else:
        said = _check(outcome)
    inner = [line for each in outcome.get("conditions", []) for line in _conditions(each, depth + 1)]
    return [f"{indent}{mark}  {said}", *inner]


def _check(outcome: dict[str, Any]) -> str:
    seen = "missing" if outcome.get("missing") else _json(outcome.get("seen"))
    if outcome["kind"] == "time_check":
        return f"time: {seen}"
    wanted = f" {_json(outcome['wanted'])}" if "wanted" in outcome else ""
    believed = f", believed {outcome['confidence']:g}" if "confidence" in outcome else ""
    return f"{outcome['path']} {outcome['operator']}{wanted}: saw {seen}{believed}"


def _trait(there: TraitThere) -> list[str]:
    trait, made = there.trait, there.made_by
    lines = [f"  {there.path} = {_json(trait.value)} (believed {trait.confidence:g}, {trait.source})"]
    if made is not None:
        lines.append(
            f"    version {made.version} of the mindscape, {made.recorded_at.isoformat()}: {made.reason}"
        )
    if made is not None and made.use is not None:
        lines.append(f"    by {made.use.model}, prompt {made.use.prompt[:12]}, {made.use.usd:g} USD")
    if there.evidence:
        shown = ", ".join(str(each) for each in there.evidence[:3])
        more = f" and {len(there.evidence) - 3} more" if len(there.evidence) > 3 else ""
        lines.append(f"    rests on observations {shown}{more}")
    return lines


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
