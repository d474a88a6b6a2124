"""One writer a format: results come in one by one, as they are found, and text goes out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import IO, Any, Protocol

from mesovid.names import is_utf8, with_bytes
from mesovid.provenance import in_words
from mesovid.records import FaceScore, Failure, Scan
from mesovid.report.rows import COLUMNS, csv_cells, row_of
from mesovid.report.text import BLOCKS, TABLE_HEAD, failure_text, scan_text, table_row

SCHEMA = 1  # of the JSON formats
Result = Scan | Failure


class Writer(Protocol):
    """Writes results to a text stream, each at once. `close` ends the document, not the stream.

    `several` says that more than one result is to come. Names that are not text are written as
    `mesovid.names` says.
    """

    def __init__(
        self, stream: IO[str], *, color: bool = False, detail: bool = False, several: bool = False
    ) -> None: ...
    def write(self, result: Result) -> None: ...
    def close(self) -> None: ...


class TextWriter:
    """For people at a terminal."""

    def __init__(
        self, stream: IO[str], *, color: bool = False, detail: bool = False, several: bool = False
    ) -> None:
        self._stream, self._color, self._detail = stream, color, detail
        self._blocks = _encodes(stream, "".join(BLOCKS))

    def write(self, result: Result) -> None:
        if isinstance(result, Failure):
            text = failure_text(result, color=self._color)
        else:
            text = scan_text(result, color=self._color, detail=self._detail, blocks=self._blocks)
        self._stream.write(text + "\n")
        self._stream.flush()

    def close(self) -> None:
        pass


class TableWriter:
    """For people at a terminal who have many videos: a line each."""

    def __init__(
        self, stream: IO[str], *, color: bool = False, detail: bool = False, several: bool = False
    ) -> None:
        self._stream, self._color = stream, color
        self._stream.write(TABLE_HEAD + "\n")

    def write(self, result: Result) -> None:
        self._stream.write(table_row(result, color=self._color) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


class JsonWriter:
    """One object for one video, an array for several; ASCII on a stream that is not in UTF-8."""

    def __init__(
        self, stream: IO[str], *, color: bool = False, detail: bool = False, several: bool = False
    ) -> None:
        self._stream = stream
        self._ascii = not is_utf8(stream)
        self._first: str | None = None  # held back until it is known whether others follow
        self._several = several
        self._count = 0

    def write(self, result: Result) -> None:
        text = json.dumps(to_json(result), indent=1, ensure_ascii=self._ascii, allow_nan=False)
        self._count += 1
        if self._several:
            self._stream.write(("[\n" if self._count == 1 else ",\n") + text)
        elif self._first is not None:
            self._several = True
            self._stream.write("[\n" + self._first + ",\n" + text)
        else:
            self._first = text

    def close(self) -> None:
        if self._several and self._count:
            self._stream.write("\n]\n")
        else:
            self._stream.write((self._first or "[]") + "\n")
        self._stream.flush()


class JsonLinesWriter:
    """One object a line, written as soon as it is known; ASCII on a stream that is not in UTF-8."""

    def __init__(
        self, stream: IO[str], *, color: bool = False, detail: bool = False, several: bool = False
    ) -> None:
        self._stream = stream
        self._ascii = not is_utf8(stream)

    def write(self, result: Result) -> None:
        self._stream.write(
            json.dumps(to_json(result), ensure_ascii=self._ascii, allow_nan=False) + "\n"
        )
        self._stream.flush()

    def close(self) -> None:
        pass


class CsvWriter:
    """One row a video; an empty cell where nothing is known. See `mesovid.report.rows`."""

    def __init__(
        self, stream: IO[str], *, color: bool = False, detail: bool = False, several: bool = False
    ) -> None:
        self._stream = stream
        self._row(COLUMNS)

    def write(self, result: Result) -> None:
        self._row(csv_cells(row_of(result)))

    def close(self) -> None:
        pass

    def _row(self, cells: Iterable[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        self._stream.write(line.getvalue())
        self._stream.flush()


WRITERS: dict[str, type[Writer]] = {
    "text": TextWriter,
    "table": TableWriter,
    "json": JsonWriter,
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
}


def to_json(result: Result) -> dict[str, Any]:
    """The object of `scan --format json`.

    A scan and a failure have the same keys; null where nothing is known.

    A path that is not text has the key `path_bytes`, too (see `mesovid.names`).
    """
    return with_bytes(_failure_json(result) if isinstance(result, Failure) else _scan_json(result))


def _scan_json(scan: Scan) -> dict[str, Any]:
    video, verdict = scan.video, scan.verdict
    by_frame: dict[int, list[FaceScore]] = {moment.index: [] for moment in scan.sampled}
    for score in scan.scores:
        by_frame[score.index].append(score)
    return {
        "schema": SCHEMA,
        "path": video.path,
        "status": verdict.status,
        "verdict": verdict.label,
        "fake_probability": _probability(verdict.fake_probability),
        "threshold": scan.model.threshold,
        "reason": verdict.reason,
        "cleared": list(verdict.cleared),
        "video": {
            "width": video.width,
            "height": video.height,
            "fps": _rounded(video.fps, 3),
            "duration": _rounded(video.duration, 3),
            "frame_count": video.frame_count,
        },
        "sampled_frames": len(scan.sampled),
        "scored_faces": len(scan.scores),
        "people": [
            {
                "id": person.id,
                "fake_probability": _probability(person.fake_probability),
                "faces": person.faces,
                "first_time": _rounded(person.first_time, 3),
                "last_time": _rounded(person.last_time, 3),
            }
            | members_json(scan.model.members, person.members)
            for person in scan.people
        ],
        "frames": [
            {
                "index": moment.index,
                "time": _rounded(moment.time, 3),
                "faces": [
                    _face_json(score, scan.model.members) for score in by_frame[moment.index]
                ],
            }
            for moment in scan.sampled
        ],
        "segments": [
            {
                "start": _rounded(segment.start, 3),
                "end": _rounded(segment.end, 3),
                "person": segment.person,
                "fake_probability": _probability(segment.fake_probability),
            }
            for segment in scan.segments
        ],
        "model": {"name": scan.model.name, "sha256": scan.model.sha256}
        | ({"members": list(scan.model.members)} if scan.model.members else {}),
        "settings": dict(scan.settings),
        "seconds": {stage: _rounded(seconds, 4) for stage, seconds in scan.seconds.items()},
        "warnings": list(scan.warnings),
        "declared": [asdict(each) | {"words": in_words(each)} for each in scan.declared],
        "error": None,
    }


def _face_json(score: FaceScore, members: Sequence[str]) -> dict[str, Any]:
    return {
        "person": score.person,
        "box": [_rounded(float(value), 2) for value in score.face.box],
        "landmarks": [
            [_rounded(float(x), 2), _rounded(float(y), 2)] for x, y in score.face.landmarks
        ],
        "confidence": _probability(float(score.face.confidence)),
        "fake_probability": _probability(score.fake_probability),
        **({} if score.detail is None else {"detail": _rounded(score.detail, 4)}),
    } | members_json(members, score.members)


def members_json(names: Sequence[str], said: Sequence[float]) -> dict[str, Any]:
    """Of a panel, what each of its models says; nothing for a single model."""
    return {"members": dict(zip(names, map(_probability, said), strict=True))} if names else {}


def _failure_json(failure: Failure) -> dict[str, Any]:
    keys = (
        "verdict",
        "fake_probability",
        "threshold",
        "video",
        "sampled_frames",
        "scored_faces",
        "model",
        "settings",
        "seconds",
    )
    lists = ("people", "frames", "segments", "warnings", "cleared", "declared")
    value = {
        "schema": SCHEMA,
        "path": failure.path,
        "status": "error",
        "reason": None,
        "error": failure.error,
    }
    return value | dict.fromkeys(keys) | {key: [] for key in lists}


def _encodes(stream: IO[str], text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


def _probability(value: float | None) -> float | None:
    return _rounded(value, 6)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
