"""The roles under which PostgreSQL is asked, so that a query that forgets the tenant finds nothing.

The **owner** makes tables. The **writer** appends, follows and derives, for all tenants; it changes no table
and no event. The **reader** sees the rows of the one tenant that its transaction names, and writes nothing.
Owner is the login itself, whatever it is called; writer and reader are roles that nobody logs in as.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Final, NamedTuple

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow

from personakit.config import Settings
from personakit.eventlog.log_sql import SQL
from personakit_sdk.errors import PersonaKitError

WRITER: Final = "personakit_writer"
READER: Final = "personakit_reader"
ROLES: Final = (WRITER, READER)
"""Roles belong to a cluster: databases in one share these two, each with privileges of its own."""
_NAMED: Final = {"writer": WRITER, "reader": READER}
_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.1
_CONNECTING_SECONDS: Final = 10
_ABOUT_ROLES: Final = re.compile(rf'set role|role "({WRITER}|{READER})"')
_ANOTHER_IS_AT_IT: Final = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.UniqueViolation,
    psycopg.errors.InternalError_,  # "tuple concurrently updated"
)


class RolesMissing(PersonaKitError):
    """The login can neither act as the roles nor make them."""


class NotTheOwner(PersonaKitError):
    """The tables have to be made or changed, and the login may not."""


class Logins(NamedTuple):
    """What each role is reached with: libpq keywords or a URL."""

    owner: str
    writer: str
    reader: str


def logins(conninfo: str, *, owner: str | None = None, reader: str | None = None) -> Logins:
    """The roles of a database: of one login that may be all of them, or each with a login of its own."""
    return Logins(owner or conninfo, acting_as(WRITER, conninfo), acting_as(READER, reader or conninfo))


def logins_in(settings: Settings, database_url: str) -> Logins:
    """The roles of the database at `database_url`, with the logins that the settings have for them."""
    return logins(database_url, owner=settings.database_owner_url, reader=settings.database_reader_url)


def acting_as(role: str, conninfo: str) -> str:
    """The conninfo with which a connection acts as `role` from its first statement on, whoever logs in. It is
    the session's default, so that RESET ROLE comes back to it."""
    options = conninfo_to_dict(conninfo).get("options") or ""
    return make_conninfo(conninfo, options=f"{options} -c role={role}".strip())


def make_roles(connection: Connection[DictRow]) -> None:
    """Makes the roles that are missing, and lets the login act as them where it may. Raises RolesMissing.

    Whoever makes another database of this cluster may be at it as well; the connection is in autocommit mode.
    """
    for _ in range(_ATTEMPTS):
        lacking = connection.execute(SQL["roles_lacking"], {"roles": list(ROLES)}).fetchall()
        try:
            for row in lacking:
                _make(connection, row)
        except _ANOTHER_IS_AT_IT:
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    raise RolesMissing("The roles of the database are being changed by others without end; try again.")


def _make(connection: Connection[DictRow], row: DictRow) -> None:
    role, login = sql.Identifier(row["role"]), connection.info.user
    if not row["there"]:
        try:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
        except psycopg.errors.InsufficientPrivilege:
            raise RolesMissing(_what_to_run(login, "cannot make the roles that it needs")) from None
    # Who makes a role may administer it, but not act as it before this (PostgreSQL 16 and newer). A login
    # that has one of the roles only need not act as the other: `require_roles` says whether one has what it
    # needs.
    with suppress(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))


def require_roles(found: Logins) -> None:
    """Raises RolesMissing where a login may not act as the role that it is there for."""
    for conninfo in (found.writer, found.reader):
        try:
            psycopg.connect(conninfo, connect_timeout=_CONNECTING_SECONDS).close()
        except psycopg.OperationalError as error:
            if not _ABOUT_ROLES.search(str(error)):
                raise
            login = str(conninfo_to_dict(conninfo).get("user", ""))
            raise RolesMissing(_what_to_run(login, f"cannot be used: {str(error).strip()}")) from None


def guard(connection: Connection[DictRow], schema: str) -> None:
    """Gives the roles their privileges on the tables of a schema, and their policies."""
    connection.execute(SQL["guard"], {"schema": schema, **_NAMED})


def unguarded(connection: Connection[DictRow]) -> list[str]:
    """The schemas of ours, those of builds too, with a table that is not guarded."""
    return [row["schema"] for row in connection.execute(SQL["unguarded"], _NAMED)]


def unbound(connection: Connection[DictRow]) -> str | None:
    """Why somebody who reads over this connection sees more than one tenant; None where they do not."""
    row = connection.execute(SQL["unbound"], _NAMED).fetchone()
    if row is None or row["acting"] != READER:
        return f"reads are made as {row and row['acting']!r}, not as {READER}"
    if row["bypasses"]:
        return f"{READER} may see every row: it is a superuser, or has BYPASSRLS, {WRITER} or the tables"
    return None if not row["open"] else f"{row['open']} tables have no row-level security"


def not_the_owner(login: str, error: psycopg.Error) -> NotTheOwner:
    """That the login may not do what only the owner may."""
    return NotTheOwner(
        "The tables of this database have to be made or changed for this release, and the login "
        f"{login!r} may not ({str(error).strip()}): start a worker with the owner's login first, or set "
        "PERSONAKIT_DATABASE_OWNER_URL to it."
    )


def _what_to_run(login: str, why: str) -> str:
    return (
        f"The database login {login!r} {why}. Let somebody who may run once, as far as it is not done: "
        f"CREATE ROLE {WRITER} NOLOGIN; CREATE ROLE {READER} NOLOGIN; "
        f'GRANT {WRITER}, {READER} TO "{login}"; (of a login that reads only: GRANT {READER}).'
    )
