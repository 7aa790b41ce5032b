"""The page at `/docs`: the OpenAPI document as plain HTML, readable offline and without scripts."""

from __future__ import annotations

from html import escape
from typing import Any

import msgspec

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #4a63d2; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; text-transform: capitalize }
section { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0 }
h3 { margin: 0; font: 600 1rem ui-monospace, monospace } h3 b { color: var(--accent) }
p { margin: .4rem 0 } table { border-collapse: collapse; margin: .5rem 0 }
td { padding: .15rem 1rem .15rem 0; vertical-align: top } code, pre { font-size: .9rem }
pre { overflow-x: auto; background: #8881; padding: .75rem; border-radius: .375rem }
summary { cursor: pointer } a { color: var(--accent) }
"""


def render(document: dict[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        "<p>The same for machines: <a href=/openapi.json>/openapi.json</a></p>"
        f"{''.join(_group(tag, found) for tag, found in _by_tag(document).items())}"
        f"<h2>Schemas</h2>{''.join(map(_schema, document['components']['schemas'].items()))}</html>"
    )


def _by_tag(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append((method.upper(), path, operation))
    return groups


def _group(tag: str, operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    return f"<h2>{escape(tag)}</h2>{''.join(_operation(*operation) for operation in operations)}"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    text = operation.get("description") or operation.get("summary") or ""
    rows = "".join(map(_parameter, operation.get("parameters", [])))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return (
        f"<section><h3><b>{method}</b> {escape(path)}</h3><p>{escape(text)}</p>"
        f"{f'<table>{rows}</table>' if rows else ''}"
        f"{f'<p>Body: {_reference(body)}</p>' if body else ''}</section>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    need = "required" if parameter.get("required") else "optional"
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code><td>{escape(parameter['in'])}<td>{need}"
        f"<td>{escape(parameter.get('description', ''))}"
    )


def _reference(schema: dict[str, Any]) -> str:
    """The names that a schema refers to, as links; or its type."""
    text = msgspec.json.encode(schema).decode()
    names = [part.split('"')[0] for part in text.split("#/components/schemas/")[1:]]
    links = ", ".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in names)
    return ("a list of " if '"array"' in text else "") + (links or "a JSON object")


def _schema(item: tuple[str, dict[str, Any]]) -> str:
    name, schema = item
    text = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
    return (
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<pre>{escape(text)}</pre></details>"
    )
