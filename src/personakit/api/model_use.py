"""`/model-use`: what models were asked, and what that cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import msgspec
from litestar import Response, get
from litestar.params import QueryParameter

from personakit.agents.service import Service
from personakit.api.answers import answer
from personakit.api.dependencies import ServiceGiven, TenantGiven
from personakit.projections.read import Snapshot
from personakit_sdk import wire
from personakit_sdk.errors import Fault, InvalidInput

DAYS: Final = 30
MOST_DAYS: Final = 366

FirstDay = Annotated[
    str | None,
    QueryParameter(name="from", description="The first day, as 2026-03-02; without it, 29 before the last"),
]
LastDay = Annotated[
    str | None, QueryParameter(name="to", description="The last day, as 2026-03-31; without it, today")
]


@get(
    "/model-use",
    sync_to_thread=True,
    tags=["models"],
    operation_id="getModelUse",
    summary="Read what models were used for",
)
def get_model_use(
    service: ServiceGiven, tenant: TenantGiven, first: FirstDay = None, last: LastDay = None
) -> Response[wire.ModelUseReport]:
    """Calls, tokens and USD by day (UTC), agent and model, with what was said and not taken; and what of
    today's budget is spent. At most 366 days."""
    today = datetime.now(UTC).date()
    until = today if last is None else _day("to", last)
    since = until - timedelta(days=DAYS - 1) if first is None else _day("from", first)
    if not 0 <= (until - since).days < MOST_DAYS:
        raise InvalidInput(
            f"From {since} to {until} are not 1 to {MOST_DAYS} days.", (Fault("from", "out of range"),)
        )
    with service.reader.snapshot(tenant) as snapshot:
        days = {"tenant": tenant, "first": since, "last": until}
        items = [wire.DayOfModelUse(**row) for row in snapshot.rows("model_use.by_day", **days)]
        dropped = [wire.DroppedProposals(**row) for row in snapshot.rows("model_use.dropped_by_day", **days)]
        budget = _budget(service, snapshot, tenant, today)
    report = wire.ModelUseReport(
        first=since,
        last=until,
        usd=round(sum(item.usd for item in items), 9),
        budget=budget,
        items=items,
        dropped=dropped,
    )
    return answer(report, snapshot.position)


def _day(name: str, text: str) -> date:
    try:
        return msgspec.convert(text, date)
    except msgspec.ValidationError:
        raise InvalidInput(
            f"{name} is {text!r}; write a day as 2026-03-02.", (Fault(name, "no day"),)
        ) from None


def _budget(service: Service, snapshot: Snapshot, tenant: str, today: date) -> wire.ModelBudget | None:
    if service.inference is None:
        return None
    row = snapshot.row("model_use.spent", tenant=tenant, day=today)
    spent = row["usd"] if row else 0.0
    return wire.ModelBudget(usd_per_day=service.inference.settings.budget_usd, spent_today=spent)
