"""All that a key brings with it: the model, the budget, and who asks the one within the other."""

from __future__ import annotations

from collections.abc import Callable

from personakit.agents.anthropic_model import AnthropicModel
from personakit.agents.budget import Budget
from personakit.agents.calls import Calls
from personakit.agents.free_text import MAX_OUTPUT
from personakit.agents.inferrer import Inferrer
from personakit.agents.model import PatientModel
from personakit.agents.rereader import Rereader
from personakit.agents.summariser import Summariser
from personakit.config import ModelSettings
from personakit.eventlog.leases import Leases
from personakit.eventlog.streams import Streams
from personakit.projections.read import Reader


class InferenceRoom:
    """Opened where there is a key. Close it when done."""

    def __init__(
        self,
        settings: ModelSettings,
        reader: Reader,
        streams: Streams,
        leases: Leases,
        owned: Callable[[str], frozenset[str]],
        ended: Callable[[], None],
    ) -> None:
        """`owned` gives the paths that a tenant's computed traits are defined for; `ended` is called when a
        pass has done something."""
        self.settings = settings
        self._provider = AnthropicModel(settings)
        self.model = PatientModel(self._provider, settings.attempts, settings.retry_seconds)
        self.budget = Budget(reader, settings.budget_usd)
        self.inferrer = Inferrer(reader, streams, leases, self.model, self.budget, settings, owned)
        self.rereader = Rereader(reader, streams, leases, self.model, self.budget, settings, owned)
        self.summariser = Summariser(self.model, self.budget)
        self.calls = Calls(self.inferrer, settings.calls, ended)

    @property
    def full_at(self) -> float:
        """Above what is spent in USD a full call does not fit into a day's budget any more."""
        dearest = self._provider.usd(2 * self.settings.call_tokens, MAX_OUTPUT)
        return max(0.0, self.settings.budget_usd - dearest)

    def close(self) -> None:
        """Returns when the calls under way have ended."""
        self.calls.close()
        self._provider.close()
