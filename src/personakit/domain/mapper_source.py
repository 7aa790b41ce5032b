"""A mapper as YAML: the text that its author uploaded, comments and all, with the weights of today.

A changed weight is written into the text at its place, so that everything else stays as it was written, to
the byte. What comes out is read again: it must be the very document, or the document is written out anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from personakit.domain.document_text import sorted_by, text_of
from personakit_sdk.errors import DocumentInvalid
from personakit_sdk.rules import compile_mapper
from personakit_sdk.rules.document import SECTIONS
from personakit_sdk.rules.plan import Plan
from personakit_sdk.rules.yaml import load_yaml

COMMENTS_LOST: Final = "# The comments of the uploaded text could not be kept with the weights of today.\n"
_RULE: Final = ("id", "description", "enabled", "priority", "conditions", "actions", "weight")
_METADATA: Final = ("id", "version", "name", "description")


class _Edit(NamedTuple):
    """What is put in the place of the characters from `start` to before `end`."""

    start: int
    end: int
    text: str


def weighed(document: Mapping[str, Any], hash_: str, source: str) -> str:
    """The document, whose hash is `hash_`, as YAML: `source`, which says it but for weights, with the weights
    of the document."""
    uploaded = _read(source)
    if uploaded is None:
        return COMMENTS_LOST + written_out(document, hash_)
    before = {rule["id"]: rule["weight"] for rule in uploaded.document["rules"]}
    weights = {rule["id"]: rule["weight"] for rule in document["rules"]}
    changed = {id_: weight for id_, weight in weights.items() if weight != before.get(id_)}
    edited = _edited(source, _edits(source, changed))
    return edited if _says(edited, hash_) else COMMENTS_LOST + written_out(document, hash_)


def written_out(document: Mapping[str, Any], hash_: str) -> str:
    """The normal form as YAML, in the order in which people write it. Where YAML would read any of it as
    something else, as JSON, which is YAML as well."""
    return text_of(_in_order(document), lambda text: _says(text, hash_))


def _read(text: str) -> Plan | None:
    """The mapper in a text; None where this release takes it for none."""
    try:
        return compile_mapper(load_yaml(text))
    except DocumentInvalid:
        return None


def _says(text: str, hash_: str) -> bool:
    found = _read(text)
    return found is not None and found.hash == hash_


def _edited(source: str, edits: Iterator[_Edit]) -> str:
    """The text with each edit made, the last first, so that none moves the place of another."""
    for edit in sorted(edits, reverse=True):
        source = source[: edit.start] + edit.text + source[edit.end :]
    return source


def _edits(source: str, weights: Mapping[str, float]) -> Iterator[_Edit]:
    """What gives each rule in the text its weight."""
    root = YAML(typ="safe", pure=True).compose(source)
    rules = _member(root, "rules")
    line_end = "\r\n" if "\r\n" in source else "\n"
    for rule in rules.value if isinstance(rules, SequenceNode) else ():
        id_ = _member(rule, "id")
        if isinstance(rule, MappingNode) and isinstance(id_, ScalarNode) and id_.value in weights:
            yield _edit(rule, repr(weights[id_.value]), line_end)


def _edit(rule: MappingNode, weight: str, line_end: str) -> _Edit:
    """The weight in the place of the old one; where none is written, before the rule's first key."""
    written = _member(rule, "weight")
    if written is not None:
        return _Edit(written.start_mark.index, written.end_mark.index, weight)
    first = rule.value[0][0].start_mark
    between = ", " if rule.flow_style else line_end + " " * first.column
    return _Edit(first.index, first.index, f"weight: {weight}{between}")


def _member(node: Node | None, key: str) -> Node | None:
    if isinstance(node, MappingNode):
        for name, value in node.value:
            if isinstance(name, ScalarNode) and name.value == key:
                found: Node = value
                return found
    return None


def _in_order(document: Mapping[str, Any]) -> dict[str, Any]:
    """Sections and keys as the language's own description has them; the database keeps no order of keys."""
    sections = sorted_by(document, SECTIONS)
    sections["metadata"] = sorted_by(document["metadata"], _METADATA)
    sections["rules"] = [sorted_by(rule, _RULE) for rule in document["rules"]]
    return sections
