"""Names that are not text are shown without harm, and found again."""

from __future__ import annotations

import json
import os

import pytest

from mesovid.names import as_text, shown, with_bytes

ODD = os.fsdecode(b"caf\xe9.mp4")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (ODD, "caf\\xe9.mp4"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x1b[31mred\x9b", "\\x1b[31mred\\x9b"),
        ("gpj.\u202eexe\u2066\u2028", "gpj.\\u202eexe\\u2066\\u2028"),
        ("naïve 名前 👩‍👩 a\\b", "naïve 名前 👩‍👩 a\\b"),
    ],
    ids=["bytes", "newline", "escape", "direction", "plain"],
)
def test_shown(text: str, safe: str) -> None:
    assert shown(text) == safe
    shown(text).encode()


def test_json_is_utf8_and_names_the_file_again() -> None:
    value = with_bytes({"path": ODD, "error": f"{ODD}: damaged", "people": [{"id": 0}], "n": None})
    read = json.loads(json.dumps(value, ensure_ascii=False).encode())
    assert read["path"] == "caf\\xe9.mp4"
    assert read["error"] == "caf\\xe9.mp4: damaged"
    assert os.fsdecode(bytes.fromhex(read["path_bytes"])) == ODD
    assert read["people"] == [{"id": 0}]


def test_a_name_that_is_text_needs_no_bytes() -> None:
    value = {"path": "ünï\n.mp4"}
    assert with_bytes(value) == value == as_text(value)
