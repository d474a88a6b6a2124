"""Recorded scans read back equal; anything else is refused in one line."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report import RESULTS, scan, written

from mesovid.errors import InputError
from mesovid.records import Failure, Scan
from mesovid.report.reader import from_json, read_results
from mesovid.report.writers import to_json


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: to_json(result)["path"])
def test_a_recorded_result_reads_back_equal(result: Scan | Failure) -> None:
    value = json.loads(json.dumps(to_json(result)))
    again = from_json(value)
    assert to_json(again) == value
    if isinstance(result, Failure):
        assert again == result
        return
    assert isinstance(again, Scan)
    assert [person.id for person in again.people] == [person.id for person in result.people]
    assert len(again.segments) == len(result.segments)
    assert again.verdict.reason == result.verdict.reason
    assert again.sampled == result.sampled
    in_order = sorted(result.scores, key=lambda score: (score.index, score.person))
    for new, old in zip(again.scores, in_order, strict=True):
        assert (new.index, new.time, new.person) == (old.index, old.time, old.person)
        assert new.fake_probability == pytest.approx(old.fake_probability, abs=1e-6)
        assert new.face.landmarks == pytest.approx(old.face.landmarks, abs=0.006)
        assert new.face.landmarks.dtype == old.face.landmarks.dtype


@given(st.lists(st.floats(0, 1), max_size=9), st.lists(st.floats(0, 1), max_size=9))
def test_whatever_a_scan_found_reads_back_equal(one: list[float], other: list[float]) -> None:
    value = json.loads(json.dumps(to_json(scan("x.mp4", one, other, frames=9))))
    assert to_json(from_json(value)) == value


def test_what_a_panel_said_and_how_sharp_faces_were_reads_back() -> None:
    plain = scan("x.mp4", [0.1, 0.9, 0.5], [0.25] * 3, frames=3)
    panel = replace(
        plain,
        model=replace(plain.model, members=("b", "a")),
        scores=tuple(replace(score, members=(0.125, 0.75), detail=0.25) for score in plain.scores),
        people=tuple(replace(person, members=(0.125, 0.75)) for person in plain.people),
        verdict=replace(plain.verdict, cleared=("swaps", "avatars")),
    )
    value = json.loads(json.dumps(to_json(panel), sort_keys=True))
    again = from_json(value)
    assert to_json(again) == value
    assert isinstance(again, Scan)
    assert again.verdict.cleared == ("swaps", "avatars")
    del value["cleared"]  # as written before there was such a thing
    older = from_json(value)
    assert isinstance(older, Scan)
    assert older.verdict.cleared == ()
    assert again.model.members == ("b", "a")
    assert {score.members for score in again.scores} == {(0.125, 0.75)}
    assert {score.detail for score in again.scores} == {0.25}
    assert again.people == tuple(sorted(panel.people, key=lambda person: person.id))


@pytest.mark.parametrize("format_", ["json", "jsonl"])
@pytest.mark.parametrize("count", [1, len(RESULTS)])
def test_files_of_either_format_are_read(tmp_path: Path, format_: str, count: int) -> None:
    path = tmp_path / "results"
    path.write_text(written(format_, RESULTS[:count]), encoding="utf-8-sig")
    assert [to_json(result) for result in read_results(path)] == [
        to_json(result) for result in RESULTS[:count]
    ]


def test_names_that_are_not_text_survive(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    name = b"caf\xe9 \xe2\x80\xa8.mp4".decode("utf-8", "surrogateescape")
    line = json.dumps(to_json(scan(name, [0.5] * 3)))  # escapes as JSON has them
    path.write_text(line + "\n")
    assert [result.video.path for result in read_results(path) if isinstance(result, Scan)] == [
        name
    ]


def broken(*keys: Any, value: Any = ...) -> dict[str, Any]:
    """A recorded scan with one value changed, or taken away."""
    result: Any = copy.deepcopy(json.loads(json.dumps(to_json(RESULTS[0]))))
    place = result
    for key in keys[:-1]:
        place = place[key]
    if value is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return result  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "not the result of a scan"),
        ("text", "not the result of a scan"),
        ({}, "schema None"),
        (broken("schema", value=7), "schema 7"),
        (broken("frames"), "'frames' is missing"),
        (broken("frames", 0, "faces", 0, "box"), "'box' is missing"),
        (broken("frames", 0, "faces", 0, "box", value=[1, 2, 3]), "not the result"),
        (broken("frames", 0, "faces", 0, "landmarks", value=[[1, 2]]), "five points"),
        (broken("frames", 0, "faces", 0, "fake_probability", value=7), "a probability of 7"),
        (broken("frames", 0, "faces", 0, "fake_probability", value=float("nan")), "where a number"),
        (broken("frames", 0, "faces", 0, "fake_probability", value=None), "null where"),
        (broken("frames", 0, "time", value="1"), "'1' where a number"),
        (broken("frames", value=5), "not the result"),
        (broken("video", value=None), "not the result"),
        (broken("verdict", value="authentic"), "'authentic' where one of fake"),
        (broken("status", value="fine"), "'fine' where one of ok"),
        (broken("frames", 0, "faces", 0, "landmarks", value=[[0, 1e30]] * 5), "near a frame"),
        (broken("threshold", value=5), "a probability of 5"),
        (broken("settings", "min_faces", value="x"), "'x' where a number"),
        (broken("settings", "start", value="soon"), "'soon' where a number"),
        (broken("path", value=None), "None where a text"),
        (broken("settings", value=[["a"]]), "not the result"),
        (broken("seconds", "total", value=True), "True where a number"),
        (broken("video", "width", value=1e999), "not the result"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_result_is_refused(value: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_json(value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no result in it"),
        ("\n \n", "no result in it"),
        ("[]", "no result in it"),
        ("hello", "line 1: no JSON"),
        (written("jsonl", RESULTS[:1])[:-40], "line 1: it is torn off"),
        (written("jsonl", RESULTS[:2])[:-40], "line 2: it is torn off"),
        ("[" * 100_000, "line 1: no JSON .it is nested too deeply"),
        ("1" * 5000, "line 1: no JSON"),
        (written("jsonl", RESULTS[:1]) + "{}\n", "line 2: a result of schema None"),
        ("[" + json.dumps(to_json(RESULTS[0])) + ", 3]", "result 2: not the result"),
    ],
    ids=[
        "empty",
        "blank",
        "no results",
        "text",
        "cut",
        "second line cut",
        "deep",
        "long",
        "foreign",
        "array",
    ],
)
def test_a_file_that_holds_anything_else_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        list(read_results(path))


def test_a_file_that_is_absent_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(read_results(tmp_path / "absent.jsonl"))
