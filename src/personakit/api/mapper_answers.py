"""Answers about mappers: one version of one, as JSON or as YAML, with its tag."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response

from personakit.agents.service import Service
from personakit.api.answers import WAIT_SECONDS, answer
from personakit.api.document_answers import as_asked, tagged
from personakit.api.mapper_texts import as_yaml
from personakit.api.problems import NotFound
from personakit.domain.mapper import MapperState
from personakit.eventlog.streams import Updated
from personakit.projections.read import NotThereYet
from personakit_sdk import wire

Row = dict[str, Any]


def shown(row: Row, position: int, status: int = 200) -> Response[wire.Mapper]:
    """A version in JSON."""
    found = wire.Mapper(
        id=row["mapper_id"],
        version=row["version"],
        status=row["status"],
        document=row["document"],
        hash=row["hash"],
        created_at=row["created_at"],
        origin=row["origin"],
        reason=row["reason"],
        change=row["change"],
        learned=row["learned"],
    )
    return answer(found, position, status, tagged(row["hash"]))


def shown_as_asked(request: Request[Any, Any, Any], row: Row, position: int) -> Response[Any]:
    """A version as the caller wants it: not at all where they have it (304), as YAML, or as JSON. The tag is
    the document's, so it does not tell whether they have what was learned of it since."""
    return as_asked(
        request,
        row["hash"],
        position,
        text=lambda: as_yaml(row),
        shown=lambda: shown(row, position),
        same=not row["learned"],
    )


def changed(
    service: Service,
    tenant: str,
    mapper_id: str,
    updated: Updated[MapperState],
    *,
    made: int = 200,
    drafted: bool = False,
) -> Response[wire.Mapper]:
    """The version that a command made (`made`), once readers see it. Where it made none, what it would have
    been is there already (200): the newest draft (`drafted`), or what is shown."""
    position = updated.position or service.reader.head()
    service.until_shown(position, WAIT_SECONDS)
    state = updated.state
    version = state.version if updated.position else state.newest if drafted else state.shown.version
    with service.reader.snapshot(tenant) as snapshot:
        row = snapshot.row("mapper_versions.one", tenant=tenant, mapper_id=mapper_id, version=version)
    if row is None:
        raise NotThereYet(
            f"Version {version} of the mapper {mapper_id!r} is stored, but is not shown: its read model "
            "stands still. `personakit projections list` says where."
        )
    return shown(row, position, made if updated.position else 200)


def unknown(mapper_id: str) -> NotFound:
    """That there is no such mapper."""
    return NotFound(f"There is no mapper {mapper_id!r}; GET /mappers lists what there is.")


def unknown_version(mapper_id: str, version: int) -> NotFound:
    """That a mapper has no such version."""
    return NotFound(
        f"The mapper {mapper_id!r} has no version {version}; GET /mappers/{mapper_id}/versions lists them."
    )
