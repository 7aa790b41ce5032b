"""The Summariser: lets a model write the summary of a persona's core, within the budget."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from personakit.agents.budget import Budget
from personakit.agents.model import Ask, PatientModel
from personakit.domain.events import PersonaCoreGenerated
from personakit.domain.summary import INSTRUCTIONS, SCHEMA, question, read_answer, summarised
from personakit.domain.traits import Trait

MAX_OUTPUT = 2_000
EXPECTED_OUTPUT = 400
"""Tokens: a summary of six sentences has some 150; the rest is for the thinking of models that think."""


class Estimate(msgspec.Struct, frozen=True):
    """What a summary is expected to cost."""

    input_tokens: int
    output_tokens: int
    usd: float


class Summariser:
    """Words cores."""

    def __init__(self, model: PatientModel, budget: Budget) -> None:
        self.budget = budget
        self._model = model

    def word(self, tenant: str, core: PersonaCoreGenerated) -> PersonaCoreGenerated:
        """The core with a summary by the model; one without traits as it is, for free. Raises BudgetSpent,
        ModelFailed."""
        if not core.traits:
            return core
        ask = _ask(core.traits)
        with self.budget.reserved(tenant, self._model.most(ask)):
            understood = self._model.ask(ask, read_answer)
        return summarised(core, understood.value, understood.use)

    def estimate(self, traits: Mapping[str, Trait]) -> Estimate:
        """What it would cost to word a core of these traits."""
        if not traits:
            return Estimate(0, 0, 0.0)
        tokens = _ask(traits).tokens
        return Estimate(tokens, EXPECTED_OUTPUT, self._model.model.usd(tokens, EXPECTED_OUTPUT))


def _ask(traits: Mapping[str, Trait]) -> Ask:
    return Ask(instructions=INSTRUCTIONS, schema=SCHEMA, question=question(traits), max_tokens=MAX_OUTPUT)
