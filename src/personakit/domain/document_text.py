"""A document written out as YAML, in the order in which people write it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from ruamel.yaml import YAML


def text_of(document: Mapping[str, Any], says_it: Callable[[str], bool]) -> str:
    """The document as YAML. Where YAML would read any of it as something else (`says_it` says no), as JSON,
    which is YAML as well."""
    library = YAML()
    library.width = 2**31
    library.default_flow_style = False
    library.indent(mapping=2, sequence=4, offset=2)
    library.representer.ignore_aliases = lambda *_: True
    text = io.StringIO()
    library.dump(document, text)
    if says_it(text.getvalue()):
        return text.getvalue()
    return json.dumps(document, indent=2) + "\n"


def sorted_by(members: Mapping[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    """The members in this order; those that are not in it after them, by name."""
    known = {key: members[key] for key in order if key in members}
    return known | {key: members[key] for key in sorted(members) if key not in known}
