"""GrowthBook: targeting conditions (Mongo style), and the forced rules of features that have them.

An attribute that is missing is null there. Experiments, rollouts to a share and prerequisites depend on more
than facts and are refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from personakit.cli.mapper_import.facts import FactNames, check_segments
from personakit.cli.mapper_import.growthbook_values import Groups, meets
from personakit.cli.mapper_import.imported import (
    PLACEHOLDER,
    Imported,
    conditions_of,
    not_before,
    rule,
    unique_id,
)
from personakit.cli.mapper_import.notes import Notes
from personakit.cli.mapper_import.truth import Truth, all_of, any_of, negation
from personakit_sdk.rules.conditions import Condition
from personakit_sdk.rules.node import Node
from personakit_sdk.rules.plain import is_list, is_object

_PAYLOAD: Final = ("features", "savedGroups", "experiments", "dateUpdated", "status")
_FEATURE: Final = ("defaultValue", "rules", "id", "description", "valueType")
_RULE: Final = ("id", "condition", "force", "description", "tracks")
_WHY_NOT: Final = {
    "coverage": "a rollout to a share of people depends on a hash",
    "variations": "an experiment depends on a hash",
    "weights": "an experiment depends on a hash",
    "namespace": "an experiment depends on a hash",
    "hashAttribute": "what depends on a hash cannot be said in conditions",
    "parentConditions": "prerequisites depend on other features",
}


def read(root: Node, names: FactNames, notes: Notes) -> Imported:
    """`{features}` as GrowthBook's SDKs get it, one feature, one condition, or a list of conditions."""
    if is_object(root.value) and "features" in root.value:
        fields = root.fields(_PAYLOAD, ("features",))
        if "experiments" in fields and fields["experiments"].value:
            fields["experiments"].fault("an experiment depends on a hash; it cannot be imported")
        groups = fields["savedGroups"].entries() if "savedGroups" in fields else {}
        reader = _Reader(names, notes, groups)
        return reader.features(fields["features"].entries())
    reader = _Reader(names, notes, {})
    if is_object(root.value) and "rules" in root.value:
        return reader.features({"feature": root})
    conditions = root.items(at_least=1) if is_list(root.value) else [root]
    return Imported([reader.plain_rule(node, number) for number, node in enumerate(conditions, 1)], {})


class _Reader:
    def __init__(self, names: FactNames, notes: Notes, groups: Groups) -> None:
        self._names = names
        self._notes = notes
        self._groups = groups

    def plain_rule(self, node: Node, number: int) -> dict[str, Any]:
        conditions = conditions_of(node, self._condition(node))
        said = "Imported from GrowthBook; say here what is suggested."
        return rule(f"rule_{number}", conditions, kind="imported", title=f"Rule {number}", description=said)

    def features(self, features: dict[str, Node]) -> Imported:
        rules: list[dict[str, Any]] = []
        named: dict[str, Any] = {}
        taken: set[str] = set()
        for key, feature in features.items():
            fields = feature.fields(_FEATURE)
            before: list[str] = []
            for node in fields["rules"].items() if "rules" in fields else ():
                rule_id = unique_id(f"{key}_{len(before) + 1}", taken)
                named[rule_id], made = self._feature_rule(node, key, rule_id, before)
                before.append(rule_id)
                rules.append(made)
        used = {name for made in rules for name in _referred(made)}
        return Imported(rules, {name: condition for name, condition in named.items() if name in used})

    def _feature_rule(
        self, node: Node, key: str, rule_id: str, before: list[str]
    ) -> tuple[Condition, dict[str, Any]]:
        """The rule's own condition, and the rule: it counts where none before it in its feature does."""
        fields = node.fields((*_RULE, *_WHY_NOT), ("condition", "force"))
        for name in fields.keys() & _WHY_NOT.keys():
            fields[name].fault(f"{_WHY_NOT[name]}; it cannot be imported")
        truth = self._condition(fields["condition"]) if "condition" in fields else PLACEHOLDER
        own = conditions_of(fields.get("condition", node), truth)
        value = fields["force"].constant() if "force" in fields else None
        made = rule(
            rule_id,
            conditions_of(node, all_of(not_before(before, own))),
            kind="feature",
            title=f"{key}: {msgspec.json.encode(value).decode()}",
            description=f"The feature {key} has this value by its rule {len(before) + 1}.",
            parameters={"feature": key, "value": value},
        )
        return own, made

    def _condition(self, node: Node) -> Truth:
        """Every member of the object must hold."""
        members = node.entries()
        if is_object(node.value) and not members:
            node.fault("it is empty, which is always true; leave it out")
        return all_of([self._member(key, member) for key, member in members.items()])

    def _member(self, key: str, node: Node) -> Truth:
        match key:
            case "$and" | "$or" | "$nor":
                members = node.items()
                if is_list(node.value) and not members:
                    node.fault("it is empty; leave it out")
                held = [self._condition(member) for member in members]
                return all_of(held) if key == "$and" else _either(held, negated=key == "$nor")
            case "$not":
                return negation(self._condition(node))
            case _ if key.startswith("$"):
                node.unknown(key, "the operator", ("$and", "$or", "$nor", "$not"))
                return False
            case _:
                check_segments(node, key.split("."))
                return meets(self._names.dotted(key), node, self._notes, self._groups)


def _either(held: list[Truth], *, negated: bool) -> Truth:
    truth = any_of(held)
    return negation(truth) if negated else truth


def _referred(made: dict[str, Any]) -> list[str]:
    members = made["conditions"].get("all", [])
    return [each["not"]["condition"] for each in members if "condition" in each.get("not", {})]
