"""Writes recorded results as a table for other programs: CSV, Parquet or SQLite.

The file of JSON lines stays what counts; a table is made of it whenever one is wanted. Results are
taken one by one, and few are held at a time, however many there are.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from mesovid.errors import OutputError, SettingsError
from mesovid.files import Kind, whole
from mesovid.records import Scan
from mesovid.report.rows import COLUMNS, row_of
from mesovid.report.writers import CsvWriter, Result

AT_ONCE = 10_000  # rows of a row group in Parquet, which are held until it is whole
# suffix of a file -> what it holds
KINDS: dict[str, Kind] = {
    ".csv": "text",
    ".parquet": "parquet",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".db": "sqlite",
}


def kind_of(path: str | Path) -> Kind | None:
    """What a table of this name holds; None for a name that is no table's. SettingsError where
    nothing can write it."""
    kind = KINDS.get(Path(path).suffix.lower())
    if kind == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401  # only whether it is there
        except ImportError as error:
            raise SettingsError(
                f"{path}: Parquet needs pyarrow; run `pip install mesovid[parquet]`, or name a"
                " .csv or .sqlite file"
            ) from error
    return kind


def write_table(results: Iterable[Result], path: str | Path, kind: Kind) -> int:
    """Write a table of results, whole or not at all; gives the number of its rows.

    OSError when it cannot be written.
    """
    with whole(path) as partial:
        return _WRITERS[kind](results, partial)


def _write_csv(results: Iterable[Result], path: Path) -> int:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = CsvWriter(stream)
        return sum(1 for _ in map(writer.write, results))


def _write_parquet(results: Iterable[Result], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), float: pa.float64(), int: pa.int64()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    rows, number = map(row_of, results), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(rows, AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(group, schema))
            number += len(group)
    return number


# --- SQLite

_TYPES = {str: "TEXT", float: "REAL", int: "INTEGER"}
_TABLES = (
    "CREATE TABLE videos (id INTEGER PRIMARY KEY, "
    + ", ".join(f"{name} {_TYPES[kind]}" for name, kind in COLUMNS.items())
    + ")",
    "CREATE TABLE people (video INTEGER REFERENCES videos, person INTEGER, fake_probability REAL,"
    " faces INTEGER, first_time REAL, last_time REAL)",
    "CREATE TABLE faces (video INTEGER REFERENCES videos, frame INTEGER, time REAL, person INTEGER,"
    " box_left REAL, box_top REAL, box_right REAL, box_bottom REAL, confidence REAL,"
    " fake_probability REAL)",
    "CREATE TABLE segments (video INTEGER REFERENCES videos, person INTEGER, start_time REAL,"
    " end_time REAL, fake_probability REAL)",
)
_INDEXES = tuple(
    f"CREATE INDEX {table}_of_video ON {table} (video)" for table in ("people", "faces", "segments")
)


def _write_sqlite(results: Iterable[Result], path: Path) -> int:
    number = 0
    try:
        with closing(sqlite3.connect(os.fsencode(path))) as database:
            # nothing to go back to: the file takes its place when it is whole
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            for statement in _TABLES:
                database.execute(statement)
            for number, result in enumerate(results, start=1):
                _insert(database, "videos", [(number, *row_of(result).values())])
                if isinstance(result, Scan):
                    _insert_details(database, number, result)
            for statement in _INDEXES:
                database.execute(statement)
            database.commit()
    except sqlite3.Error as error:
        raise OutputError(f"cannot write {path.suffix[1:]}: {error}") from error
    return number


def _insert_details(database: sqlite3.Connection, video: int, scan: Scan) -> None:
    people = [
        (video, each.id, each.fake_probability, each.faces, each.first_time, each.last_time)
        for each in scan.people
    ]
    faces = [
        (
            video,
            each.index,
            each.time,
            each.person,
            *map(float, each.face.box),
            float(each.face.confidence),
            each.fake_probability,
        )
        for each in scan.scores
    ]
    segments = [
        (video, each.person, each.start, each.end, each.fake_probability) for each in scan.segments
    ]
    _insert(database, "people", people)
    _insert(database, "faces", faces)
    _insert(database, "segments", segments)


def _insert(database: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        places = ", ".join("?" * len(rows[0]))
        database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


_WRITERS: dict[Kind, Callable[[Iterable[Result], Path], int]] = {
    "text": _write_csv,
    "parquet": _write_parquet,
    "sqlite": _write_sqlite,
}
