"""`personakit mappers import`: rules of another engine in, a mapper document out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from personakit.cli.documents.files import FileInvalid, content, marks_of, placed
from personakit.cli.mapper_import import growthbook, json_rules_engine, jsonlogic
from personakit.cli.mapper_import.facts import FactNames, Kind
from personakit.cli.mapper_import.imported import Imported, as_yaml, document, unique_id
from personakit.cli.mapper_import.notes import Notes
from personakit.cli.options import FILE, json_option
from personakit_sdk.errors import DocumentInvalid, InvalidInput
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.limits import Limits
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.yaml import Marks, load_json

ENGINES: Final[dict[str, Callable[[Node, FactNames, Notes], Imported]]] = {
    "growthbook": growthbook.read,
    "json-rules-engine": json_rules_engine.read,
    "jsonlogic": jsonlogic.read,
}
_LIMITS: Final = Limits(document_bytes=4 * 1024 * 1024, list_items=10_000, entries=100_000, values=1_000_000)
"""What is read may be larger than what comes out of it; that has limits of its own."""


class Made(msgspec.Struct, frozen=True):
    """The mapper document of an import, and for which facts it decides otherwise than its source."""

    document: dict[str, Any]
    notes: list[str]


@click.command(name="import")
@click.option(
    "--from", "engine", required=True, type=click.Choice(list(ENGINES)), help="Whose rules they are."
)
@click.option(
    "--facts",
    type=click.Choice(["traits", "context"]),
    default="context",
    show_default=True,
    help="What facts become that no --trait names.",
)
@click.option("--trait", "traits", multiple=True, metavar="PREFIX", help="Facts at or below it are traits.")
@click.option("--id", "mapper_id", help="The mapper's id.  [default: the file's name]")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it.")
@click.option("--strict", is_flag=True, help="Refuse what unusual facts would be decided otherwise for.")
@click.argument("file", type=FILE)
@json_option
def import_(
    file: Path,
    *,
    engine: str,
    facts: Kind,
    traits: tuple[str, ...],
    mapper_id: str | None,
    output: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Turn the rules in FILE (JSON) into a mapper document in YAML, on stdout or in a file.

    What cannot be said in the rule language is refused: one line with place and reason each, exit 1. Where
    facts of an unusual kind (a list where a text is expected) are decided otherwise than there, a note says
    so, on stderr and in the document; --strict refuses that too.
    """
    wanted = mapper_id or unique_id(file.stem, set())
    made = _converted(file, engine, FactNames(facts, traits), wanted, strict=strict)
    written = msgspec.json.encode(made).decode() if as_json else as_yaml(made.document, made.notes)
    if output is None:
        click.echo(written, nl=as_json)
    else:
        _write(output, written)
    for note in made.notes:
        click.echo(f"note: {note}", err=True)


def convert(engine: str, value: Any, names: FactNames, mapper_id: str, *, strict: bool = False) -> Made:
    """The mapper of another engine's rules. Raises DocumentInvalid with every fault at its place in the
    source; with `strict`, a note is one too."""
    what = f"{engine} document"
    root = Node.root(value, what, limits=_LIMITS)
    notes = Notes()
    imported = ENGINES[engine](root, names, notes)
    if not imported.rules:
        root.fault("it has no rules")
    root.refuse_faults(what)
    if strict and notes.faults():
        raise DocumentInvalid(what, notes.faults())
    made = document(imported, mapper_id, f"Imported from {engine}.")
    try:
        compile_mapper(made)
    except DocumentInvalid as error:
        # What was read has a place of its own; what came out of it is too large or too deep as a whole.
        raise DocumentInvalid(f"mapper made of this {what}", error.faults) from error
    return Made(made, notes.lines())


def _converted(file: Path, engine: str, names: FactNames, mapper_id: str, *, strict: bool) -> Made:
    """The mapper of the rules in a file. Raises FileInvalid, with a line for each fault."""
    text = content(file)
    marks: Marks = {}
    try:
        value = load_json(text, _LIMITS)
        marks = marks_of(text, _LIMITS)
        return convert(engine, value, names, mapper_id, strict=strict)
    except DocumentInvalid as error:
        said = f"{file} cannot be imported from {engine}:"
        raise FileInvalid(file, f"{engine} document", placed(error.faults, marks), said) from error


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}.") from error
