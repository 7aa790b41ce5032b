"""Facts made again of a persona as a service answers it."""

from __future__ import annotations

from personakit_sdk.rules.facts import CREDIBILITY_K, TraitFact
from personakit_sdk.wire import Persona, Trait


def facts_of(persona: Persona) -> dict[str, TraitFact]:
    """What rules see of a persona: its core and its overlay, believed as much as the answer says.

    An answer has confidences and not the evidence behind them, so that they are those of the answer's instant
    and no other: they do not age.
    """
    return {path: _fact(trait) for path, trait in {**persona.core.traits, **persona.overlay}.items()}


def _fact(trait: Trait) -> TraitFact:
    believed = trait.confidence
    # The evidence that gives this confidence: w / (w + K), turned around. None is certain.
    weight = None if believed >= 1 else CREDIBILITY_K * believed / (1 - believed)
    return TraitFact(value=trait.value, volatility=trait.volatility, weight=weight)
