"""The API described: its OpenAPI schema, and a plain page of it.

The page needs no network and no script.
"""

from __future__ import annotations

import html
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from mesovid.serve.problems import KINDS

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "Address of a page about this kind."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong, and what would be right."},
        "field": {"type": "string"},
        "known": {"type": "array", "items": {"type": "string"}},
        "limit": {"type": "integer"},
    },
}
STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
  overflow-wrap: anywhere; }
h2 { margin-top: 2rem; } h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; }
code, h3 { font-family: ui-monospace, monospace; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0;
  border-bottom: 1px solid #8886; }
"""


def schema(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of an app; made once."""
    if not app.openapi_schema:
        made = get_openapi(
            title=app.title,
            version=app.version,
            summary=app.summary,
            description=(
                "Every score is `fake_probability`, P(fake) from 0 (real) to 1 (fake); what is "
                "unknown is null. Errors are application/problem+json."
            ),
            routes=app.routes,
        )
        made["components"].setdefault("schemas", {})["Problem"] = PROBLEM
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        for path in made["paths"].values():
            for operation in path.values():
                # the guard may refuse anything; a setting is refused as a problem, too
                for status in ("400", "401", "403", "421", "422"):
                    operation["responses"][status] = {
                        "description": "Problem",
                        "content": {
                            "application/problem+json": {
                                "schema": {"$ref": "#/components/schemas/Problem"}
                            }
                        },
                    }
        app.openapi_schema = made
    return app.openapi_schema


def page(schema: dict[str, Any]) -> str:
    """The schema for people."""
    parts = [f"<p>{_text(schema['info']['description'])}</p>"]
    parts.append('<p>The same for programs: <a href="/api/v1/openapi.json">openapi.json</a>.</p>')
    by_tag: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, about in operations.items():
            by_tag.setdefault((about.get("tags") or ["other"])[0], []).append(
                _operation(method, path, about)
            )
    for tag, found in by_tag.items():
        parts += [f"<h2>{_text(tag.capitalize())}</h2>", *found]
    parts.append("<h2>Problems</h2><ul>")
    parts += [
        f'<li><a href="/problems/{kind}">{kind}</a>: {title}</li>'
        for kind, (_, title) in KINDS.items()
    ]
    return _page("mesovid: the API", "\n".join([*parts, "</ul>"]))


def problem_page(kind: str) -> str:
    """What a kind of problem means."""
    status, title = KINDS[kind]
    return _page(
        title,
        f"<p>HTTP status {status}. The member <code>detail</code> says what would be right.</p>",
    )


def _operation(method: str, path: str, about: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{_text(each['name'])}</code></td><td>{_text(_kind(each['schema']))}</td>"
        f"<td>{_text(each.get('description') or each['schema'].get('description') or '')}</td></tr>"
        for each in about.get("parameters", [])
        if each["in"] == "query"
    )
    table = (
        f"<table><tr><th>Parameter</th><th>Kind</th><th>Meaning</th></tr>{rows}</table>"
        if rows
        else ""
    )
    text = _text(about.get("description") or about.get("summary") or "")
    return f"<h3>{method.upper()} {_text(path)}</h3><p>{text}</p>{table}"


def _kind(schema: dict[str, Any]) -> str:
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    first = kinds[0] if kinds else schema
    if "enum" in first:
        return ", ".join(map(str, first["enum"]))
    default = schema.get("default")
    return str(first.get("type", "")) + (f", {default}" if default is not None else "")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{_text(title)}</title><link rel="stylesheet" href="/docs.css"><main><h1>'
        f"{_text(title)}</h1>\n{body}</main></html>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value))
