"""`personakit people erase|check-receipt`: whoever asks to be forgotten is."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import click
import msgspec

from personakit.cli.connection import connect
from personakit.cli.opened_log import opened
from personakit.cli.options import FILE, PersonIdType, json_option, with_settings
from personakit.cli.own_file import own_file
from personakit.config import Settings
from personakit.eventlog.log_sql import SQL
from personakit.eventlog.receipts import is_genuine
from personakit_sdk.errors import InvalidInput
from personakit_sdk.transport import Reply
from personakit_sdk.wire import ErasureReceipt


@click.command()
@with_settings
@click.argument("person", metavar="ID", type=PersonIdType())
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--receipt",
    "kept_at",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the receipt here too.",
)
@json_option
def erase(settings: Settings, person: str, yes: bool, kept_at: Path | None, as_json: bool) -> None:
    """Forget a person, for good, and print the receipt.

    Their key is destroyed, so that nothing in the log says anything of them any more, nor in a backup of it
    once the copies of keys that go with it are 30 days old, or deleted. Nothing brings it back. Who was
    erased before is told by the same receipt.
    """
    if not yes:
        click.confirm(f"Erase {person} for good? Nothing brings them back.", abort=True, err=True)
    kept: AbstractContextManager[BinaryIO | None] = nullcontext() if kept_at is None else own_file(kept_at)
    reply: Reply | None = None
    try:  # a receipt may be given once only: the file is there first, and it is told whatever becomes of that
        with kept as file:
            reply = connect(settings).request("DELETE", f"/people/{quote(person, safe='')}", idempotent=True)
            if file is not None:
                file.write(reply.body)
    finally:
        if reply is not None:
            _tell(reply, as_json)


def _tell(reply: Reply, as_json: bool) -> None:
    if as_json:
        click.echo(reply.body)
        return
    receipt = reply.decode(ErasureReceipt)
    click.echo(
        f"{receipt.person_id} was erased at {receipt.erased_at.isoformat()}, position {receipt.position}."
    )
    for persona in receipt.personas:
        click.echo(f"The persona {persona} lost what had been said of it.")
    click.echo(f"Receipt: {receipt.id}, signed {receipt.signature}")


@click.command("check-receipt")
@with_settings
@click.argument("file", type=FILE)
def check_receipt(settings: Settings, file: Path) -> None:
    """Say whether this service's log signed a receipt, as `people erase --receipt` wrote it.

    Needs the database. Exit code 1 when it did not.
    """
    content = file.read_bytes()
    try:
        receipt = msgspec.json.decode(content, type=ErasureReceipt)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{file} is no receipt: {error}.") from None
    with opened(settings, 1) as log, log.recorder.datastore.get_connection() as connection:
        row = connection.execute(SQL["identity"]).fetchone()
    if row is None or not is_genuine(content, bytes(row["secret"])):
        click.echo("The receipt is not of this service, or was altered.")
        raise click.exceptions.Exit(1)
    click.echo(f"The receipt is genuine: {receipt.person_id} was erased at {receipt.erased_at.isoformat()}.")
