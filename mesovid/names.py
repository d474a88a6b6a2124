"""File names as people and programs read them.

A name on disk is bytes. Python keeps those that are not text as lone surrogates (U+DC80 to U+DCFF),
which no encoding takes. They are shown, and written into JSON and CSV, as `\\xe9`; beside such a
path, JSON has `path_bytes`, its bytes in hexadecimal: `bytes.fromhex(result["path_bytes"])` names
the file again, and so does `xxd -r -p` in a shell.
"""

from __future__ import annotations

import os
import re
from typing import IO, Any

# controls, which can move the cursor and recolour a terminal; separators of lines; and what turns
# the reading direction round
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(text: str) -> str:
    """Text with names in it on one line, safe for a terminal."""
    return _UNSAFE.sub(_escaped, text)


def as_text(value: Any) -> Any:
    """A JSON value whose every string any encoding of Unicode takes; all else in it as it is."""
    if isinstance(value, str):
        return _SURROGATE.sub(_escaped, value)
    if isinstance(value, dict):
        return {as_text(key): as_text(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_text(item) for item in value]
    return value


def with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON object as `as_text` makes it, with `path_bytes` where its path is not text."""
    path = value.get("path")
    if isinstance(path, str) and _SURROGATE.search(path):
        value = value | {"path_bytes": os.fsencode(path).hex()}
    text: dict[str, Any] = as_text(value)
    return text


def is_utf8(stream: IO[str]) -> bool:
    """Whether a text stream takes every character; one that does not say its encoding does."""
    name = getattr(stream, "encoding", None) or "utf-8"
    return name.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(
        match[0], f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    )
