"""`personakit mindscapes`: what other rules would make of everybody's observations."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from personakit.agents.rederive import Example, PathChange, Rederived, Rederiver
from personakit.agents.tenant_rules import TenantRules, shipped_documents
from personakit.cli.documents.files import read_as
from personakit.cli.documents.upload import push_files
from personakit.cli.opened_log import OpenedLog, opened_log
from personakit.cli.options import FILE, PersonIdType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.cli.traits.push import TRAITS
from personakit.cli.up import FIRST_TENANT
from personakit.cli.values import shown
from personakit.config import Settings
from personakit.domain.computed_trait_documents import WHAT, TraitDocument, read_document
from personakit.domain.computed_traits import ComputedTraits
from personakit.domain.own_traits import misfits, over_shipped
from personakit.eventlog.everybody import Known, everybody, somebody
from personakit_sdk.errors import DocumentInvalid, InvalidInput

EXAMPLES_SHOWN: Final = 10


@click.group()
def mindscapes() -> None:
    """Rederive mindscapes by other rules, aside."""


@mindscapes.command()
@click.option(
    "--with",
    "files",
    multiple=True,
    type=FILE,
    help="A computed-trait document, in the place of the one with its id; may be repeated.  "
    "[default: the rules that the tenant has, of this release and its own]",
)
@click.option("--person", type=PersonIdType(), help="Of this one alone.  [default: everybody]")
@click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose people.")
@click.option("--apply", "apply_", is_flag=True, help="Then publish the documents, once you have said yes.")
@click.option("--yes", is_flag=True, help="With --apply: do not ask.")
@json_option
@with_settings
def rederive(
    settings: Settings,
    *,
    files: tuple[Path, ...],
    person: str | None,
    tenant: str,
    apply_: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Fold all observations by other rules, aside, and say what they would change in whose mindscape.

    Nothing is written without --apply, which publishes the documents in the running service, as `traits push`
    does, for the tenant of the API key: then everybody is derived anew by them. Computed traits cost nothing.
    The command reads the database, like `projections`, beside a running service or without one. Exit 0,
    whatever would change.
    """
    if apply_ and (not files or person is not None):
        raise InvalidInput("--apply publishes the documents of --with, for everybody: leave --person out.")
    with opened_log(settings) as log, progress(sys.stderr) as report:
        computed = _rules(log, tenant, files)
        whose = _people(log, tenant, person)
        found = Rederiver(computed).run(log.reader, tenant, whose, report)
    click.echo(msgspec.json.encode(found) if as_json else "\n".join(told(found)))
    if apply_:
        if not yes:
            click.confirm("Publish these rules, and derive everybody anew?", abort=True, err=True)
        reason = f"mindscapes rederive: {found.differing} of {found.people} mindscapes would differ"
        push_files(settings, TRAITS, files, {"reason": reason}, None, as_json=as_json)


def _rules(log: OpenedLog, tenant: str, files: tuple[Path, ...]) -> ComputedTraits:
    """The tenant's, with the documents of the files in the place of the ones with their ids."""
    shipped = TenantRules(shipped_documents()).documents
    with log.reader.snapshot() as snapshot:
        rows = snapshot.rows("computed_traits.in_use", tenants=[tenant])
    own = {row["document_id"]: read_document(row["document"]) for row in rows}

    def fitting(document: dict[str, Any]) -> TraitDocument:
        read = read_document(document)
        faults = misfits(shipped, list(own.values()), read)
        if faults:
            raise DocumentInvalid(WHAT, faults)
        return read

    for path in files:
        read = read_as(path, WHAT, fitting)
        own[read.id] = read
    return over_shipped(shipped.values(), list(own.values()), ever=bool(own))


def _people(log: OpenedLog, tenant: str, person: str | None) -> Iterable[Known]:
    if person is None:
        return everybody(log.recorder, tenant)
    found = somebody(log.recorder, tenant, person)
    if found is None:
        raise InvalidInput(f"Nothing is known of {person!r} in the tenant {tenant!r}.")
    return [found]


def told(found: Rederived) -> list[str]:
    """What was found, a line for each path and for some examples."""
    read = f"{found.people} people, {found.observations} observations"
    head = f"{read}: {found.differing} mindscapes would differ. It cost nothing."
    if not found.paths:
        return [head]
    examples = [_example(example) for example in found.examples[:EXAMPLES_SHOWN]]
    more = len(found.examples) - EXAMPLES_SHOWN
    rest = [f"… {more} more examples with --json"] if more > 0 else []
    return [head, *map(_path, found.paths), *examples, *rest]


def _path(change: PathChange) -> str:
    counts = [
        f"{word} for {count}"
        for word, count in (("comes", change.came), ("changes", change.changed), ("goes", change.went))
        if count
    ]
    material = f", materially for {change.material}" if change.material else ""
    return f"  {change.path}: {', '.join(counts)}{material}"


def _example(example: Example) -> str:
    return f"    {example.path} of {example.person_id}: {_value(example.before)} -> {_value(example.after)}"


def _value(value: Any) -> str:
    return "nothing" if value is None else shown(value)
