"""Reads text that others wrote, such as lists of files and tables.

It may come from any system, in any encoding.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

# the longer mark first: UTF-32's begins like UTF-16's
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(file: str | Path) -> str:
    """The text of a file. OSError when it cannot be read, UnicodeDecodeError when it is cut off
    amid UTF-16 or UTF-32."""
    return decode(Path(file).read_bytes())


def decode(content: bytes) -> str:
    """Text in UTF-8, or in the encoding that its byte order mark says; without one, UTF-16 where
    every other byte is 0.

    Other bytes are kept as Python keeps them in file names (surrogateescape), because names may be
    in any encoding.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            rest = content[len(mark) :]
            return rest.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    half = len(content) // 2
    if half and not len(content) % 2:
        for zeros, encoding in ((content[1::2], "utf-16-le"), (content[::2], "utf-16-be")):
            if zeros.count(0) > 0.8 * half:
                return content.decode(encoding)
    return content.decode("utf-8", "surrogateescape")


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. ValueError for anything else, one nested too deeply to be read
    included."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def lines(text: str) -> list[str]:
    """The lines of a text, or what lies between its NULs (`find -print0`) where it has some;
    without empty ones.

    Only line feeds and carriage returns end a line: a name may hold U+2028, at which
    `str.splitlines` parts, too.
    """
    parts = (
        text.split("\0")
        if "\0" in text
        else text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    )
    return [part for part in parts if part.strip()]
