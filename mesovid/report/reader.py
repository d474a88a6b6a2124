"""Reads back what `mesovid scan --format json` and `jsonl` wrote.

Reports can then be made without a model.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from mesovid.errors import InputError
from mesovid.records import (
    Box,
    Face,
    FaceScore,
    Failure,
    Label,
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
from mesovid.texts import decode

Choice = TypeVar("Choice")
FARTHEST = 1e6  # px from a frame's corner; what lies farther off is no part of a face
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


def read_results(path: str | Path) -> Iterator[Result]:
    """The results in a file that `mesovid scan` wrote as JSON or JSON lines, one by one.

    InputError, with the line's number, for a file that holds anything else, or none.
    """
    number = 0
    try:
        with Path(path).open("rb") as file:
            for line_number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                values = _values(line, file.read if not number else None, path, line_number)
                for value in values:
                    number += 1
                    try:
                        yield from_json(value)
                    except InputError as error:
                        where = f"result {number}" if len(values) > 1 else f"line {line_number}"
                        raise InputError(f"{path}, {where}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not number:
        raise InputError(
            f"{path}: no result in it; `mesovid scan --format jsonl -o {path}` writes some"
        )


def _values(line: bytes, rest: Any, path: str | Path, number: int) -> Sequence[Any]:
    """The JSON values of a line.

    Where the first one is not whole, as in an indented file, all that follows is read too.
    """
    try:
        value = json.loads(decode(line))
    except ValueError as error:
        whole = rest() if rest is not None else b""
        try:
            value = json.loads(decode(line + whole))
        except ValueError:
            raise InputError(
                f"{path}, line {number}: no JSON ({error}); `mesovid scan --format jsonl` writes "
                "what is wanted here"
            ) from error
    return value if isinstance(value, list) else [value]


def _scan(value: Mapping[str, Any]) -> Scan:
    video = value["video"]
    frames = value["frames"]
    members = tuple(_text(name) for name in value["model"].get("members", ()))
    members = tuple(_text(name) for name in value["model"].get("members", ()))
    return Scan(
        video=VideoInfo(
            path=_path(value),
            width=int(video["width"]),
            height=int(video["height"]),
            fps=_number(video["fps"]),
            frame_count=None if video["frame_count"] is None else int(video["frame_count"]),
            duration=_number(video["duration"]),
        ),
        model=ModelRef(
            _text(value["model"]["name"]),
            _text(value["model"]["sha256"]),
            _probability(value["threshold"]),
            members,
        ),
        settings=_settings(value["settings"]),
        sampled=tuple(Moment(int(frame["index"]), _known(frame["time"])) for frame in frames),
        scores=tuple(_score(frame, face, members) for frame in frames for face in frame["faces"]),
        people=tuple(
            Person(
                int(person["id"]),
                _probability(person["fake_probability"]),
                int(person["faces"]),
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
                int(segment["person"]),
                _probability(segment["fake_probability"]),
            )
            for segment in value["segments"]
        ),
        verdict=_verdict(value),
        seconds={str(stage): _known(seconds) for stage, seconds in value["seconds"].items()},
        warnings=tuple(_text(warning) for warning in value.get("warnings", ())),
    )


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
    return Verdict(label, probability, status, _text(value["reason"]))


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
        index=int(frame["index"]),
        time=_known(frame["time"]),
        face=Face(box, _known(face["confidence"]), landmarks),
        person=int(face["person"]),
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
