"""`personakit mindscapes rederive --with model`: the model reads all free text again, aside, at a price that
is told before and after."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress

import click
import msgspec

from personakit.agents.budget import BudgetSpent
from personakit.agents.differences import Differences, seen_changes
from personakit.agents.inference_room import InferenceRoom
from personakit.agents.model import ModelFailed, added
from personakit.agents.rederive import Rederived
from personakit.agents.rereader import Estimate, Reread, Rereader
from personakit.agents.service import Service
from personakit.cli.database import database
from personakit.cli.delivery import Report
from personakit.cli.progress import progress
from personakit.cli.rederived import told, whose_mindscapes
from personakit.config import Settings
from personakit.domain.events import ModelUse
from personakit.eventlog.everybody import Known
from personakit.eventlog.leases import LeaseLost
from personakit.eventlog.person_keys import PersonErased
from personakit.master_key import master_key
from personakit.projections.follow import Followers
from personakit_sdk.errors import InvalidInput


def reread(
    settings: Settings, person: str | None, tenant: str, *, apply_: bool, yes: bool, as_json: bool
) -> None:
    """The command, whose options these are."""
    if not yes and not on_terminal():
        raise InvalidInput("Asking a model costs money: say --yes where nobody can be asked.")
    with _asking(settings) as (service, room):
        people = [each for each in whose_mindscapes(service.recorder, tenant, person) if _has_mindscape(each)]
        with progress(sys.stderr) as report:
            expected = _expected(room.rereader, tenant, people, report)
        _agreed(expected, room.budget.left(tenant), yes=yes)
        rereading = Rereading(room.rereader, tenant, keep=apply_)
        with progress(sys.stderr) as report:
            rereading.run(people, report)
        found = rereading.found()
        click.echo(msgspec.json.encode(found) if as_json else "\n".join(told(found)))
        if apply_ and found.differing:
            if not yes:
                click.confirm("Let this take the place of what models made before?", abort=True, err=True)
            promoted = rereading.promote()
            click.echo(msgspec.json.encode({"promoted": promoted}) if as_json else f"{promoted} promoted.")
    for why in rereading.left_out:
        click.echo(f"personakit: {why}", err=True)
    if rereading.left_out:
        click.get_current_context().exit(1)


def on_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


class Rereading:
    """One run over people: what differs, what it took and, to be promoted (`keep`), the shadows."""

    def __init__(self, rereader: Rereader, tenant: str, *, keep: bool) -> None:
        self.left_out: list[str] = []
        """Who was not read, or not wholly, and why."""
        self._rereader = rereader
        self._tenant = tenant
        self._keep = keep
        self._kept: list[Reread] = []
        self._differences = Differences()
        self._texts = 0
        self._use: ModelUse | None = None

    def run(self, people: Iterable[Known], report: Report) -> None:
        """Reads, until the model or the budget gives out."""
        for number, person in enumerate(people, start=1):
            try:
                found = self._rereader.reread(self._tenant, person.surrogate)
            except PersonErased:
                continue
            except LeaseLost as error:
                self.left_out.append(f"{person.id} was not read wholly. {error}")
                continue
            except (ModelFailed, BudgetSpent) as error:
                self.left_out.append(f"From {person.id} on nobody was read. {error}")
                return
            if found is None:
                self.left_out.append(f"{person.id} is being read by the service just now; try again shortly.")
            else:
                self._take(person, found)
            report("reading again", number, None)

    def promote(self) -> int:
        """Puts the shadows in the place of what models made before; in how many mindscapes that changed
        anything."""
        made = 0
        for found in self._kept:
            with suppress(PersonErased):
                made += self._rereader.promote(found) is not None
        return made

    def found(self) -> Rederived:
        """What was found, of those who were read."""
        use = self._use
        return Rederived(
            people=self._differences.people,
            differing=self._differences.differing,
            observations=self._texts,
            usd=0.0 if use is None else use.usd,
            calls=0 if use is None else use.calls,
            input_tokens=0 if use is None else _read(use),
            output_tokens=0 if use is None else use.output_tokens,
            paths=self._differences.paths,
            examples=self._differences.examples,
        )

    def _take(self, person: Known, found: Reread) -> None:
        change = found.change
        changes = [] if change is None else seen_changes(found.start.state, change)
        self._differences.add(person.id, changes)
        self._texts += found.texts
        if found.use is not None:
            self._use = added(self._use, found.use)
        if self._keep:
            self._kept.append(found)


@contextmanager
def _asking(settings: Settings) -> Iterator[tuple[Service, InferenceRoom]]:
    """A service whose agents sleep, and the model. The read models are brought up to the log before, so that
    what was paid is known, and after, for whom no service is running."""
    with (
        database(settings) as conninfo,
        closing(Service(conninfo, master_key(settings), model=settings.model)) as service,
    ):
        if service.inference is None:
            raise InvalidInput("There is no model to ask: set PERSONAKIT_ANTHROPIC_API_KEY.")
        followers = Followers(service.pool, service.projections.values(), service.keys)
        followers.catch_up()
        yield service, service.inference
        followers.catch_up()


def _has_mindscape(person: Known) -> bool:
    return not person.id.startswith("~")  # a created persona has none of its own


def _expected(rereader: Rereader, tenant: str, people: Iterable[Known], report: Report) -> Estimate:
    expected = Estimate()
    for number, person in enumerate(people, start=1):
        expected += rereader.estimate(tenant, person.surrogate)
        report("estimating", number, None)
    return expected


def _agreed(expected: Estimate, left: float, *, yes: bool) -> None:
    """Says what is expected; returns when somebody agreed to it. Raises BudgetSpent, and Abort for a no."""
    click.echo(
        f"Expected: {expected.calls} calls, {expected.input_tokens:,} tokens in and "
        f"{expected.output_tokens:,} out, {expected.usd:.4f} USD; {left:.4f} USD of today's budget are left.",
        err=True,
    )
    if expected.usd > left:
        raise BudgetSpent(f"That is more than the {left:.4f} USD that are left of today's budget.", 0.0)
    if expected.calls and not yes:
        click.confirm("Ask the model?", abort=True, err=True)


def _read(use: ModelUse) -> int:
    return use.input_tokens + use.cache_read_tokens + use.cache_write_tokens
