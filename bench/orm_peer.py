"""The peer: one observation stored by a plain FastAPI and SQLAlchemy service, as their tutorials have it.

Defaults throughout: uvicorn with its standard extras and as many workers as the API has; a `def`
handler, so that it runs in the thread pool; a synchronous Session on the default pool (5 connections, 10
more at need); one commit a request and a refresh of what is answered; psycopg 3; the API key looked up
in the database by a dependency. The table has the columns and the index that a developer would give it.

One thing is not as in the tutorial: dependency and handler open a Session each. One Session that both
get from a dependency is held while its request waits for a thread, and at 64 connections all requests
then wait for one another until the pool times out.

    BENCH_PEER_URL=postgresql+psycopg://… python -m uvicorn bench.orm_peer:app --port PORT
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import DateTime, Index, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The tables."""


class ApiKey(Base):
    """Who may come in."""

    __tablename__ = "api_keys"
    hash: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]


class StoredObservation(Base):
    """One observation."""

    __tablename__ = "observations"
    __table_args__ = (Index("ix_observations_person", "tenant", "person_id", "recorded_at"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    person_id: Mapped[str]
    type: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    source: Mapped[str | None]
    metadata_: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONB)
    recorded_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Observation(BaseModel):
    """What a client sends: the body that the service under test gets."""

    id: UUID = Field(default_factory=uuid4)
    personId: str = Field(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")  # noqa: N815 - the name on the wire
    type: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")
    content: dict[str, Any]
    occurredAt: datetime  # noqa: N815 - the name on the wire
    source: str | None = Field(None, max_length=256)
    metadata: dict[str, Any] | None = None


class Written(BaseModel):
    """What it is answered."""

    id: UUID
    recorded_at: datetime


engine = create_engine(os.environ["BENCH_PEER_URL"])
app = FastAPI()


def prepare(key: str) -> None:
    """Makes the tables, and a key."""
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(ApiKey(hash=_hash(key), tenant="default"))
        session.commit()


def tenant_of(authorization: Annotated[str, Header()]) -> str:
    """The tenant that the key opens."""
    key = authorization.removeprefix("Bearer ")
    with Session(engine) as session:
        known = session.scalar(select(ApiKey).where(ApiKey.hash == _hash(key)))
    if known is None:
        raise HTTPException(401)
    return known.tenant


@app.post("/observations", status_code=201)
def record(observation: Observation, tenant: Annotated[str, Depends(tenant_of)]) -> Written:
    """Stores one observation."""
    stored = StoredObservation(
        id=observation.id,
        tenant=tenant,
        person_id=observation.personId,
        type=observation.type,
        content=observation.content,
        occurred_at=observation.occurredAt,
        source=observation.source,
        metadata_=observation.metadata,
    )
    with Session(engine) as session:
        session.add(stored)
        session.commit()
        session.refresh(stored)
        return Written(id=stored.id, recorded_at=stored.recorded_at)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
