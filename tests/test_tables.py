"""Tables made of recorded results hold what the lines hold, and say which lines are none."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from test_report import RESULTS, scan, written

from mesovid.cli import cli
from mesovid.records import Failure, Scan
from mesovid.report import tables
from mesovid.report.reader import read_results
from mesovid.report.rows import COLUMNS, csv_cells, row_of
from mesovid.report.tables import write_table

Rows = list[dict[str, Any]]


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def from_csv(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: COLUMNS[name](cell) if cell else None for name, cell in row.items()}
            for row in csv.DictReader(file)
        ]


def from_parquet(path: Path) -> Rows:
    rows: Rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    return rows


def from_sqlite(path: Path, table: str = "videos") -> Rows:
    with closing(sqlite3.connect(path)) as database:
        found = database.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found]
    for row in rows:
        row.pop("id", None)
    return rows


READERS = {".csv": from_csv, ".parquet": from_parquet, ".sqlite": from_sqlite, ".db": from_sqlite}
HOSTILE = [
    '=HYPERLINK("http://a.b").mp4',
    "+1.mp4",
    "-1.mp4",
    "@SUM(1).mp4",
    "\t=1.mp4",
    'a,b;"c".mp4',
    "two\nlines.mp4",
    "\x1b[31mred.mp4",
    "\u202egpj.mp4",
    "'; DROP TABLE videos;--",
    os.fsdecode(b"caf\xe9.mp4"),
    "\\xe9.mp4",
    " .mp4",
    "ä\u2028ö.mp4",
]


@pytest.fixture(params=sorted(READERS))
def table(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], Rows]]:
    return tmp_path / f"table{request.param}", READERS[request.param]


def test_a_table_holds_what_the_lines_hold(
    table: tuple[Path, Callable[[Path], Rows]], tmp_path: Path
) -> None:
    path, read = table
    lines = tmp_path / "results.jsonl"
    lines.write_text(written("jsonl", RESULTS))
    done = run("report", lines, "-o", path)
    assert (done.exit_code, done.stderr) == (0, f"{path}: 6 rows\n")
    assert read(path) == [row_of(result) for result in read_results(lines)]
    assert list(read(path)[0]) == list(COLUMNS)
    assert run("report", lines, "-o", path).exit_code == 0  # over its own, again


def test_the_table_of_a_run_and_the_one_made_later_are_the_same(tmp_path: Path) -> None:
    lines, later = tmp_path / "results.jsonl", tmp_path / "later.csv"
    lines.write_text(written("jsonl", RESULTS))
    assert run("report", lines, "-o", later).exit_code == 0
    assert later.read_text() == written("csv", RESULTS)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_hostile_names_come_back_letter_by_letter(
    table: tuple[Path, Callable[[Path], Rows]], tmp_path: Path
) -> None:
    path, read = table
    lines = tmp_path / "results.jsonl"
    results = [scan(name, [0.5] * 6) for name in HOSTILE]
    failures = [Failure(name, f"{name}: no video") for name in HOSTILE]
    lines.write_text(written("jsonl", [*results, *failures]))
    assert run("report", lines, "-o", path).exit_code == 0
    rows = read(path)
    names = [
        os.fsdecode(bytes.fromhex(row["path_bytes"])) if row["path_bytes"] else row["path"]
        for row in rows
    ]
    assert names == HOSTILE * 2
    if path.suffix == ".csv":
        text = path.read_text(encoding="utf-8")
        assert not any(ord(character) < 32 for character in text if character != "\n")
        assert text.count("\n") == 1 + 2 * len(HOSTILE)  # a row is a line
        for row in csv.reader(text.splitlines()):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20))
def test_any_path_is_one_line_of_csv_and_names_its_file(name: str) -> None:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # no name of a file
        return
    cells = dict(zip(COLUMNS, csv_cells(row_of(Failure(name, name))), strict=True))
    assert not any("\n" in str(cell) for cell in cells.values())
    as_named = (
        os.fsdecode(bytes.fromhex(cells["path_bytes"])) if cells["path_bytes"] else cells["path"]
    )
    assert as_named == name


def test_sqlite_has_people_faces_and_segments(tmp_path: Path) -> None:
    path = tmp_path / "table.sqlite"
    assert write_table(RESULTS, path, "sqlite") == len(RESULTS)
    scans = [result for result in RESULTS if isinstance(result, Scan)]
    for name in ("people", "faces", "segments"):
        wanted = sum(len(getattr(each, "scores" if name == "faces" else name)) for each in scans)
        assert len(from_sqlite(path, name)) == wanted > 0
    first = from_sqlite(path, "faces")[0]
    assert first["video"] == 1
    assert (first["box_left"], first["fake_probability"]) == (0.0, 0.2)
    with closing(sqlite3.connect(path)) as database:
        (worst,) = database.execute(
            "SELECT max(faces.fake_probability) FROM faces JOIN videos ON videos.id = video"
            " WHERE path = 'fake.mp4'"
        ).fetchone()
    assert worst == 0.95


BAD = {
    "torn": (b'{"schema": 1, "path": "half', "it is torn off, as a kill leaves it"),
    "text": (b"hello\n", "no JSON"),
    "foreign": (b'{"a": 1}\n', "a result of schema None"),
    "deep": (b"[" * 99_999 + b"\n", "nested too deeply"),
    "huge number": (b'{"schema": 1' + b"0" * 9999 + b"}\n", "no JSON"),
    "bytes": (bytes(range(128, 256)) + b"\n", "no JSON"),
}


@pytest.mark.parametrize("kind", BAD)
def test_lines_that_are_no_results_are_said_and_left_out(tmp_path: Path, kind: str) -> None:
    content, says = BAD[kind]
    lines, path = tmp_path / "results.jsonl", tmp_path / "table.csv"
    lines.write_bytes(written("jsonl", RESULTS[:3]).encode() + content)
    done = run("report", lines, "-o", path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"mesovid: {lines}, line 4: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 2
    assert [row["path"] for row in from_csv(path)] == ["fake.mp4", "two people.mp4", "unclear.mp4"]


def test_a_first_line_that_is_no_result_costs_itself(tmp_path: Path) -> None:
    lines, path = tmp_path / "results.jsonl", tmp_path / "table.csv"
    lines.write_text('{"schema": 1, "pa\n' * 9 + written("jsonl", RESULTS))
    done = run("report", lines, "-o", path)
    assert done.exit_code == 1
    assert done.stderr.count("left out") == 6
    assert "4 more of" in done.stderr
    assert len(from_csv(path)) == len(RESULTS)


@pytest.mark.parametrize("content", ["", "hello\n", "{}\n"])
def test_a_file_without_results_leaves_nothing(tmp_path: Path, content: str) -> None:
    lines, path = tmp_path / "results.jsonl", tmp_path / "table.sqlite"
    lines.write_text(content)
    done = run("report", lines, "-o", path)
    assert done.exit_code == 1
    assert isinstance(done.exception, Exception)
    assert sorted(tmp_path.iterdir()) == [lines]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".sqlite"])
def test_what_is_there_and_no_table_is_not_replaced(tmp_path: Path, suffix: str) -> None:
    lines, path = tmp_path / "results.jsonl", tmp_path / f"table{suffix}"
    lines.write_text(written("jsonl", RESULTS))
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0")
    assert run("report", lines, "-o", path).exit_code != 0
    assert path.read_bytes() == b"\x89PNG\r\n\x1a\n\0"


def test_a_scan_names_the_way_to_a_table(tmp_path: Path) -> None:
    done = run("scan", tmp_path, "-o", tmp_path / "x.parquet")
    assert done.exit_code == 2
    assert f"mesovid report results.jsonl -o {tmp_path / 'x.parquet'}" in done.stderr


def test_parquet_without_its_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    lines = tmp_path / "results.jsonl"
    lines.write_text(written("jsonl", RESULTS))
    done = run("report", lines, "-o", tmp_path / "x.parquet")
    assert "pip install mesovid[parquet]" in str(done.exception)
    assert sorted(tmp_path.iterdir()) == [lines]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".sqlite"])
def test_memory_does_not_grow_with_the_results(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "AT_ONCE", 20)
    path = tmp_path / f"table{suffix}"
    kind = tables.kind_of(path)
    assert kind is not None

    def taken(number: int) -> int:
        def results() -> Iterator[Scan | Failure]:
            for index in range(number):
                yield Failure(f"{index}.mp4", "x" * 5000)

        tracemalloc.start()
        assert write_table(results(), path, kind) == number
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    taken(20)
    assert taken(1000) < taken(100) + 500_000  # of 4.5 million bytes more


def test_lines_of_json_in_utf16_are_read(tmp_path: Path) -> None:
    lines = tmp_path / "results.jsonl"
    lines.write_text(written("jsonl", RESULTS), encoding="utf-16")
    assert len(list(read_results(lines))) == len(RESULTS)


def test_a_row_says_what_the_json_says() -> None:
    value, row = json.loads(written("json", RESULTS[:1])), row_of(RESULTS[0])
    for name in ("path", "status", "verdict", "fake_probability", "threshold", "reason", "error"):
        assert row[name] == value[name]
    assert row["people"] == len(value["people"])
    assert (row["width"], row["duration"]) == (value["video"]["width"], value["video"]["duration"])
