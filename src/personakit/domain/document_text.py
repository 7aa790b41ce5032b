"""A document written out as YAML, in the order in which people write it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from ruamel.yaml import YAML

from personakit_sdk.rules.limits import DEFAULT_LIMITS


def text_of(document: Mapping[str, Any], says_it: Callable[[str], bool]) -> str:
    """The document as YAML. Where YAML would read any of it as something else (`says_it` says no), or it is
    too large to be read as YAML at all, as JSON, which is YAML as well."""
    if _values(document) > DEFAULT_LIMITS.values:
        return _as_json(document)
    library = YAML()
    library.width = 2**31
    library.default_flow_style = False
    library.indent(mapping=2, sequence=4, offset=2)
    library.representer.ignore_aliases = lambda *_: True
    text = io.StringIO()
    library.dump(document, text)
    if says_it(text.getvalue()):
        return text.getvalue()
    return _as_json(document)


def _as_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _values(value: Any) -> int:
    """How many keys and values there are in it."""
    if isinstance(value, Mapping):
        return 1 + sum(1 + _values(each) for each in value.values())
    return 1 + sum(map(_values, value)) if isinstance(value, list) else 1


def sorted_by(members: Mapping[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    """The members in this order; those that are not in it after them, by name."""
    known = {key: members[key] for key in order if key in members}
    return known | {key: members[key] for key in sorted(members) if key not in known}
