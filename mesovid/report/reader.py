"""Reads back what `mesovid scan --format json` and `jsonl` wrote.

Reports can then be made without a model.
"""

from __future__ import annotations

import codecs
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, get_args

import numpy as np

from mesovid.errors import InputError
from mesovid.records import (
    Box,
    Declaration,
    Face,
    FaceScore,
    Failure,
    Label,
    Made,
    ModelRef,
    Moment,
    Person,
    Scan,
    Segment,
    Status,
    Verdict,
    VideoInfo,
)
from mesovid.report.writers import SCHEMA, Result
from mesovid.texts import decode, lines, parse_json

BEGINNING = b'{"schema": '  # of every line of results
Choice = TypeVar("Choice")
OnBad = Callable[[str], None]  # hears what is wrong with a line, and where it stands
FARTHEST = 1e6  # px from a frame's corner; what lies farther off is no part of a face
LONGEST_LINE = 2**27  # bytes; a scan of every frame of ten hours has less
LARGEST = 2**53  # of whole numbers: what every reader of JSON keeps exactly
LONGEST_QUOTE = 60  # characters of a file that is not what it should be


def from_json(value: Any) -> Result:
    """The result that `to_json` wrote: `to_json(from_json(value)) == value`.

    InputError for anything else.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"not the result of a scan but {_quoted(value)}")
    if value.get("schema") != SCHEMA:
        raise InputError(
            f"a result of schema {value.get('schema')!r}; this mesovid reads {SCHEMA}, as "
            "`mesovid scan --format json` writes it"
        )
    try:
        if value["status"] == "error":
            return Failure(_path(value), _text(value["error"]))
        return _scan(value)
    except KeyError as error:
        raise InputError(f"not the whole result of a scan: {error} is missing") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"not the result of a scan ({error})") from error


def read_results(path: str | Path, on_bad: OnBad | None = None) -> Iterator[Result]:
    """The results in a file that `mesovid scan` wrote as JSON or JSON lines, one by one.

    InputError, with the line's number, for a file that holds anything else, or none. With `on_bad`
    a line that is no result, or was torn by a kill, is passed over, and `on_bad` hears of it.
    """
    found = 0
    try:
        with Path(path).open("rb") as file:
            for where, value in _values(file):
                try:
                    if isinstance(value, _Unreadable):
                        raise InputError(value.why)
                    result = from_json(value)
                except InputError as error:
                    said = f"{path}, {where}: {error}"
                    if on_bad is None:
                        raise InputError(said) from error
                    on_bad(said)
                else:
                    found += 1
                    yield result
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not found:
        raise InputError(
            f"{path}: no result in it; `mesovid scan --format jsonl -o {path}` writes some"
        )


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A line that is no JSON."""

    why: str


def _values(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Each value in a file of JSON lines, or of one indented document, and where it stands."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if number == 1 and _begins_document(line):
            yield from _document(line + file.read())
            return
        if not line.strip():
            continue
        where = f"line {number}"
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            yield where, _Unreadable(f"it is longer than {LONGEST_LINE:,} bytes")
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
            continue
        value = _parsed(line)
        if isinstance(value, _Unreadable) and line.startswith(BEGINNING) and line[-1:] != b"\n":
            value = _Unreadable("it is torn off, as a kill leaves it; the same scan mends it")
        yield from _each(value, where)


def _begins_document(line: bytes) -> bool:
    """Whether a first line is that of an indented JSON text, or of one in UTF-16 or UTF-32."""
    return line.removeprefix(codecs.BOM_UTF8).strip() in (b"{", b"[", b"[{") or b"\0" in line[:8]


def _document(content: bytes) -> Iterator[tuple[str, Any]]:
    value = _parsed(content)
    if isinstance(value, _Unreadable) and b"\0" in content[:8]:  # lines in UTF-16
        for number, line in enumerate(lines(decode(content)), start=1):
            yield from _each(_parsed(line.encode(errors="surrogateescape")), f"line {number}")
    else:
        yield from _each(value, "line 1")


def _parsed(content: bytes) -> Any:
    try:
        return parse_json(decode(content))
    except ValueError as error:
        return _Unreadable(
            f"no JSON ({error}); `mesovid scan --format jsonl` writes what is wanted here"
        )


def _each(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """A value, or those of an array."""
    if isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield (where if len(value) == 1 else f"result {number}"), item
    else:
        yield where, value


def _scan(value: Mapping[str, Any]) -> Scan:
    video = value["video"]
    frames = value["frames"]
    members = tuple(_text(name) for name in value["model"].get("members", ()))
    return Scan(
        video=VideoInfo(
            path=_path(value),
            width=_whole(video["width"]),
            height=_whole(video["height"]),
            fps=_number(video["fps"]),
            frame_count=None if video["frame_count"] is None else _whole(video["frame_count"]),
            duration=_number(video["duration"]),
        ),
        model=ModelRef(
            _text(value["model"]["name"]),
            _text(value["model"]["sha256"]),
            _probability(value["threshold"]),
            members,
        ),
        settings=_settings(value["settings"]),
        sampled=tuple(Moment(_whole(frame["index"]), _known(frame["time"])) for frame in frames),
        scores=tuple(_score(frame, face, members) for frame in frames for face in frame["faces"]),
        people=tuple(
            Person(
                _whole(person["id"]),
                _probability(person["fake_probability"]),
                _whole(person["faces"]),
                _known(person["first_time"]),
                _known(person["last_time"]),
                _said(person, members),
            )
            for person in value["people"]
        ),
        segments=tuple(
            Segment(
                _known(segment["start"]),
                _known(segment["end"]),
                _whole(segment["person"]),
                _probability(segment["fake_probability"]),
            )
            for segment in value["segments"]
        ),
        verdict=_verdict(value),
        seconds={str(stage): _known(seconds) for stage, seconds in value["seconds"].items()},
        warnings=tuple(_text(warning) for warning in value.get("warnings", ())),
        declared=tuple(map(_declaration, value.get("declared") or ())),
    )


def _declaration(value: Mapping[str, Any]) -> Declaration:
    made: Made = _one_of(get_args(Made), value["made"])
    tool, signer = (None if value[key] is None else _text(value[key]) for key in ("tool", "signer"))
    intact = value["intact"]
    if intact not in (None, True, False):
        raise ValueError(f"intact is {intact!r}")
    return Declaration(_text(value["source"]), made, tool, signer, intact)


def _settings(value: Any) -> dict[str, Any]:
    """The settings of a scan; those that reports read are numbers where they are set."""
    settings = dict(value)
    for name in ("min_faces", "start", "end", "threshold", "stream"):
        _number(settings.get(name))
    return settings


def _verdict(value: Mapping[str, Any]) -> Verdict:
    status: Status = _one_of(get_args(Status), value["status"])
    label: Label | None = None
    probability = None
    if status == "ok":
        label = _one_of(get_args(Label), value["verdict"])
        probability = _probability(value["fake_probability"])
    cleared = tuple(map(_text, value.get("cleared") or ()))
    return Verdict(label, probability, status, _text(value["reason"]), cleared)


def _said(value: Mapping[str, Any], members: Sequence[str]) -> tuple[float, ...]:
    """What each model of a panel says, in the panel's order."""
    return tuple(_probability(value["members"][name]) for name in members)


def _score(frame: Mapping[str, Any], face: Mapping[str, Any], members: Sequence[str]) -> FaceScore:
    left, top, right, bottom = (_known(number) for number in face["box"])
    box: Box = (left, top, right, bottom)
    landmarks = np.array(face["landmarks"], np.float32)
    if landmarks.shape != (5, 2) or not (np.abs([*landmarks.ravel(), *box]) <= FARTHEST).all():
        raise ValueError(
            f"landmarks are {_quoted(face['landmarks'])}; five points near a frame are wanted"
        )
    return FaceScore(
        index=_whole(frame["index"]),
        time=_known(frame["time"]),
        face=Face(box, _known(face["confidence"]), landmarks),
        person=_whole(face["person"]),
        fake_probability=_probability(face["fake_probability"]),
        members=_said(face, members),
        detail=_known(face["detail"]) if "detail" in face else None,
    )


def _path(value: Mapping[str, Any]) -> str:
    """The path as it is on the disk, whether it is text or not."""
    if "path_bytes" in value:
        return os.fsdecode(bytes.fromhex(_text(value["path_bytes"])))
    return _text(value["path"])


def _probability(value: Any) -> float:
    number = _known(value)
    if not 0 <= number <= 1:
        raise ValueError(f"a probability of {number:g}")
    return number


def _known(value: Any) -> float:
    number = _number(value)
    if number is None:
        raise ValueError("null where a number is wanted")
    return number


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{_quoted(value)} where a number is wanted")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
        raise ValueError(f"{_quoted(value)} where a whole number is wanted")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_quoted(value)} where a text is wanted")
    return value


def _one_of(choices: tuple[Choice, ...], value: Any) -> Choice:
    if value not in choices:
        raise ValueError(f"{_quoted(value)} where one of {', '.join(map(str, choices))} is wanted")
    return choices[choices.index(value)]


def _quoted(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."
