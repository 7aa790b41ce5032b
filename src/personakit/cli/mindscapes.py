"""`personakit mindscapes`: what other rules would make of everybody's observations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from personakit.agents.rederive import Rederiver
from personakit.agents.tenant_rules import TenantRules, shipped_documents
from personakit.cli.database import FIRST_TENANT
from personakit.cli.documents.files import read_as
from personakit.cli.documents.upload import push_files
from personakit.cli.opened_log import OpenedLog, opened_log
from personakit.cli.options import FILE, PersonIdType, json_option, with_settings
from personakit.cli.progress import progress
from personakit.cli.rederived import told, whose_mindscapes
from personakit.cli.rereading import reread
from personakit.cli.traits.push import TRAITS
from personakit.config import Settings
from personakit.domain.computed_trait_documents import WHAT, TraitDocument, read_document
from personakit.domain.computed_traits import ComputedTraits
from personakit.domain.own_traits import misfits, over_shipped
from personakit_sdk.errors import DocumentInvalid, InvalidInput

MODEL: Final = "model"


class ByWhat(click.ParamType[Path | str]):
    """A document, or the word that means the model."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        """A path, or MODEL."""
        return MODEL if value == MODEL else Path(FILE.convert(value, param, ctx))


@click.group()
def mindscapes() -> None:
    """Rederive mindscapes by other rules, aside."""


@mindscapes.command()
@click.option(
    "--with",
    "by",
    multiple=True,
    metavar="FILE|model",
    type=ByWhat(),
    help="A computed-trait document, in the place of the one with its id; may be repeated. Or `model`: it "
    "reads all free text again, which costs.  "
    "[default: the rules that the tenant has, of this release and its own]",
)
@click.option("--person", type=PersonIdType(), help="Of this one alone.  [default: everybody]")
@click.option("--tenant", default=FIRST_TENANT, show_default=True, help="Whose people.")
@click.option(
    "--apply", "apply_", is_flag=True, help="Then publish the documents, or promote what the model made."
)
@click.option("--yes", is_flag=True, help="Do not ask before anything is spent, published or promoted.")
@json_option
@with_settings
def rederive(
    settings: Settings,
    *,
    by: tuple[Path | str, ...],
    person: str | None,
    tenant: str,
    apply_: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Fold all observations by other rules, or let the model read them again, aside, and say what that would
    change in whose mindscape. Who was read stands in the audit.

    Rules cost nothing, and nothing else is written without --apply, which publishes the documents in the
    running service, as `traits push` does, for the tenant of the API key: then everybody is derived anew by
    them.

    The model costs: what is expected is told before, and asked for; what it was stands in the log, whatever
    becomes of the rest. The tenant's budget holds. With --apply what it made takes the place, in each
    mindscape, of what models made before; pins, computed traits and what was read meanwhile stay.

    The command reads the database, like `projections`, beside a running service or without one. Exit 0,
    whatever would change; 1 where the model could not read all.
    """
    if MODEL in by:
        if len(by) > 1:
            raise InvalidInput("--with model stands alone: documents are tried by themselves.")
        reread(settings, person, tenant, apply_=apply_, yes=yes, as_json=as_json)
        return
    files = tuple(each for each in by if isinstance(each, Path))
    if apply_ and (not files or person is not None):
        raise InvalidInput("--apply publishes the documents of --with, for everybody: leave --person out.")
    with opened_log(settings) as log, progress(sys.stderr) as report:
        computed = _rules(log, tenant, files)
        whose = whose_mindscapes(log.recorder, tenant, person)
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
    with log.reader.snapshot(tenant) as snapshot:
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
