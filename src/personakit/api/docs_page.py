"""The page at `/docs`: the OpenAPI document as plain HTML, readable offline and without scripts."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html import escape
from typing import Any

import msgspec

from personakit.api.security_headers import PAGE_POLICY

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8dbe2, #363a44);
  --soft: light-dark(#f4f5f8, #22252c); --dim: light-dark(#5b6270, #a2a9b8);
  --accent: light-dark(#3a53c4, #9db0ff) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  background: light-dark(#fff, #17191e); color: light-dark(#1b1d22, #e6e8ee) }
h1 { margin-bottom: 0 } h2 { margin: 2.5rem 0 .75rem; text-transform: capitalize }
section { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; margin: .75rem 0 }
section:target { border-color: var(--accent) }
h3 { margin: 0; font-size: 1rem } h3 code { font-size: 1rem; font-weight: 600 } h3 b { color: var(--accent) }
h3 span { color: var(--dim); font-weight: 400; float: right }
p { margin: .4rem 0 } a { color: var(--accent) } small { color: var(--dim) }
table { border-collapse: collapse; margin: .5rem 0; width: 100% }
td { padding: .3rem 1rem .3rem 0; vertical-align: top; border-top: 1px solid var(--line) }
td:first-child { width: 13rem } td:nth-child(2) { width: 15rem }
code { font: .875em ui-monospace, monospace; background: var(--soft); border-radius: .25rem;
  padding: .1em .3em; overflow-wrap: anywhere }
@media (max-width: 40rem) { td { display: block; border: 0; padding: 0; width: auto !important }
  td:first-child { border-top: 1px solid var(--line); padding-top: .4rem }
  h3 span { float: none; display: block } }
"""
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; {PAGE_POLICY}"
"""Its Content-Security-Policy: the page has this style, and nothing else that a browser would take."""
_RANGES = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("pattern", "like {}"),
)


def render(document: dict[str, Any]) -> str:
    """The whole page."""
    info, components = document["info"], document["components"]
    common = _rows({**components["parameters"], **components["headers"]}.items())
    refusals = "".join(
        f"<tr><td><code>{escape(status)}</code><td colspan=2>{_text(refused['description'])}"
        for status, refused in components["responses"].items()
    )
    schemas = "".join(_schema(name, schema) for name, schema in components["schemas"].items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{escape(info['title'])} API</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} API</h1><p>{_text(info['description'])}</p>"
        "<p>Every operation but health needs the header <code>Authorization: Bearer pk_…</code>, takes the "
        "first of these headers and answers with the others. Whatever fails answers with a "
        f"{_link('Problem')}. The same for machines: <a href=/openapi.json>/openapi.json</a></p>"
        f"<table>{common}{refusals}</table>"
        f"{''.join(_group(tag, found) for tag, found in _by_tag(document).items())}"
        f"<h2>Schemas</h2>{schemas}</html>"
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
    own = [(each["name"], each) for each in operation.get("parameters", []) if "$ref" not in each]
    table = f"<table>{_rows(own)}</table>" if own else ""
    body = operation.get("requestBody", {}).get("content", {})
    return (
        f"<section id='{escape(operation['operationId'])}'>"
        f"<h3><span>{_text(operation['summary'])}</span><b>{method}</b> <code>{escape(path)}</code></h3>"
        f"<p>{_text(operation['description'])}</p>{_scopes(operation['security'])}{table}"
        f"{_body(body)}{_answers(operation['responses'])}</section>"
    )


def _scopes(security: list[dict[str, list[str]]]) -> str:
    scopes = [f"<code>{escape(scope)}</code>" for each in security for scope in each["key"]]
    return f"<p>Takes a key with the scope {' or '.join(scopes)}</p>" if scopes else ""


def _body(content: dict[str, Any]) -> str:
    ways = [
        f"<code>{escape(kind)}</code> {_type(media['schema'])}{_aside(media['schema'].get('description'))}"
        for kind, media in content.items()
    ]
    return f"<p>Body: {', or '.join(ways)}</p>" if ways else ""


def _answers(responses: dict[str, Any]) -> str:
    """What a call answers, and with which statuses it may refuse, which are told once for all."""
    lines = [
        f"<code>{escape(status)}</code> {_content(answer)}{_aside(answer['description'])}"
        f"{_own_headers(answer)}"
        for status, answer in responses.items()
        if "$ref" not in answer
    ]
    refused = ", ".join(f"<code>{escape(each)}</code>" for each in responses if "$ref" in responses[each])
    return f"<p>Answers: {'; '.join(lines)}</p><p><small>May refuse: {refused}</small></p>"


def _content(answer: dict[str, Any]) -> str:
    """What an answer holds, each way that it may be asked for; nothing for one without a body."""
    ways = [
        _type(media["schema"]) if kind == "application/json" else f"<code>{escape(kind)}</code>"
        for kind, media in answer.get("content", {}).items()
    ]
    return " or ".join(ways)


def _own_headers(answer: dict[str, Any]) -> str:
    own = [
        f", with <code>{escape(name)}</code>{_aside(header['description'])}"
        for name, header in answer.get("headers", {}).items()
        if "$ref" not in header
    ]
    return "".join(own)


def _aside(text: str | None) -> str:
    return f" <small>({_text(text)})</small>" if text else ""


def _rows(described: Any) -> str:
    """Rows of parameters, headers or fields: name, type, what it means."""
    return "".join(
        f"<tr><td><code>{escape(name)}</code>{_place(each)}<td>{_type(each.get('schema', each))}"
        f"<td>{_text(each.get('description', ''))}{_facts(each.get('schema', each))}"
        for name, each in described
    )


def _place(described: dict[str, Any]) -> str:
    words = [described["in"]] if "in" in described else []
    words += ["required"] if described.get("required") is True else []
    return f"<br><small>{', '.join(words)}</small>" if words else ""


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    fields = [
        (field, {"description": _said(each), "schema": each, "required": field in required})
        for field, each in schema["properties"].items()
    ]
    return (
        f"<section id='{escape(name)}'><h3><code>{escape(name)}</code></h3>"
        f"<p>{_text(schema['description'])}</p><table>{_rows(fields)}</table></section>"
    )


def _said(schema: dict[str, Any]) -> str:
    """A schema's description, or that of the one that it is unless null."""
    found = (each["description"] for each in (schema, *schema.get("anyOf", ())) if "description" in each)
    return next(found, "")


def _type(schema: dict[str, Any]) -> str:
    """A type in words: what it may be, with the schemas that it refers to as links."""
    match schema:
        case {"$ref": reference}:
            return _link(reference.rpartition("/")[2])
        case {"enum": values}:
            return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"anyOf": choices}:
            return " or ".join(map(_type, choices))
        case {"items": dict(inner)} | {"additionalProperties": dict(inner)}:
            return f"{escape(schema['type'])} of {_type(inner)}"
        case _:
            return escape(schema.get("format") or schema.get("type") or "any JSON")


def _facts(schema: dict[str, Any]) -> str:
    """The limits and the default of a value."""
    known = {key: value for each in (*schema.get("anyOf", ()), schema) for key, value in each.items()}
    facts = [words.format(_value(known[key])) for key, words in _RANGES if key in known]
    if known.get("default") not in (None, "", [], {}):
        facts.append(f"default {_value(known['default'])}")
    return f" <small>({', '.join(facts)})</small>" if facts else ""


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"<code>{escape(text)}</code>"


def _link(name: str) -> str:
    return f"<a href='#{escape(name)}'>{escape(name)}</a>"


def _text(text: str) -> str:
    """Prose, what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
