"""The one table from error to exit code."""

from __future__ import annotations

from typing import Final

import click

from personakit.cli.database import DatabaseUnreachable
from personakit.config import SettingInvalid
from personakit.eventlog.backup.check import BackupLocked
from personakit.eventlog.erasure_journal import ErasureJournalUnusable
from personakit.eventlog.person_keys import MasterKeyWrong
from personakit.eventlog.recorder import LogFormatUnknown, RestoreUnfinished
from personakit.eventlog.roles import NotTheOwner, RolesMissing
from personakit_sdk.errors import DocumentInvalid, InvalidInput, PersonaKitError, StoreError
from personakit_sdk.transport import ServiceError, Unreachable

_UNUSABLE: Final = (
    BackupLocked,
    ErasureJournalUnusable,
    InvalidInput,
    LogFormatUnknown,
    MasterKeyWrong,
    NotTheOwner,
    RestoreUnfinished,
    RolesMissing,
    SettingInvalid,
    StoreError,
)


def exit_code(error: PersonaKitError) -> int:
    """1 the answer is no, 2 usage or settings, 3 the service cannot be reached or cannot answer."""
    match error:
        case Unreachable() | DatabaseUnreachable():
            return 3
        case ServiceError():
            return _of_status(error.status)
        case DocumentInvalid():
            return 1
        case _:
            return 2 if isinstance(error, _UNUSABLE) else 1


def say(error: PersonaKitError) -> None:
    """The error's sentence on stderr, and a line for each fault that the service found."""
    click.echo(f"personakit: {error}", err=True)
    for fault in error.errors if isinstance(error, ServiceError) else ():
        click.echo(f"  {fault.pointer or '(whole)'}: {fault.message}", err=True)


def _of_status(status: int) -> int:
    # A key that is wrong or not enough is a setting; what the service says no to is an answer.
    if status in {401, 403}:
        return 2
    return 3 if status >= 500 else 1
