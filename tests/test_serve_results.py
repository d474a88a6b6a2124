"""The results of an archive over HTTP: listed, sorted, followed while they grow, opened."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from mesovid.cli import cli
from mesovid.errors import InputError
from mesovid.records import Failure, ModelRef, Person, Scan, Verdict, VideoInfo
from mesovid.report.writers import to_json
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
from mesovid.serve.recorded import Recorded
from mesovid.settings import ServeSettings

API = "/api/v1"


def scan(path: str, label: str | None, probability: float | None, seconds: float = 3.0) -> Scan:
    return Scan(
        VideoInfo(path, 640, 360, 25.0, 75, seconds),
        ModelRef("meso4", "ab" * 32, 0.8),
        {"frames": 4},
        (),
        (),
        (Person(0, probability, 4, 0.0, 1.0),) if probability is not None else (),
        (),
        Verdict(label, probability, "ok" if label else "no_face", "Because."),  # type: ignore[arg-type]
    )


RESULTS: tuple[Scan | Failure, ...] = (
    scan("a/real.mp4", "real", 0.1),
    scan("a/fake.mp4", "fake", 0.9, 60.0),
    scan('b/odd, "frames": {name}.mp4', "uncertain", 0.5),
    scan("b/none.mp4", None, None),
    Failure("b/broken.mp4", "b/broken.mp4: not a video"),
    scan("c/worse.mp4", "fake", 0.99, 1.0),
)


def text(results: Any) -> str:
    return "".join(json.dumps(to_json(each)) + "\n" for each in results)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "results.jsonl"
    path.write_text(text(RESULTS))
    return path


def serving(file: Path | None, **settings: Any) -> TestClient:
    app = create_app(ServeSettings(**settings), access("127.0.0.1", None), recorded=file, threads=1)
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    path = tmp_path_factory.mktemp("results") / "results.jsonl"
    path.write_text(text(RESULTS))
    with serving(path) as found:
        yield found


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [Path(row["path"]).name[:4] for row in answer.json()["results"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["wors", "fake", "odd,", "real", "none", "brok"]),
        ({"sort": "line"}, ["real", "fake", "odd,", "none", "brok", "wors"]),
        ({"sort": "line", "order": "backwards", "limit": 2}, ["wors", "brok"]),
        ({"sort": "path", "outcome": "fake,real"}, ["fake", "real", "wors"]),
        ({"sort": "duration", "limit": 1}, ["fake"]),
        ({"outcome": "error,no_face"}, ["none", "brok"]),
        ({"words": "B/", "sort": "line"}, ["odd,", "none", "brok"]),
        ({"offset": 4}, ["none", "brok"]),
        ({"offset": 100}, []),
    ],
)
def test_results_are_listed(client: TestClient, asked: dict[str, Any], expected: list[str]) -> None:
    assert names(client.get(f"{API}/results", params=asked)) == expected


def test_any_result_is_opened_as_it_was_recorded(client: TestClient) -> None:
    for n, result in enumerate(RESULTS):
        assert client.get(f"{API}/results/{n}").json() == json.loads(json.dumps(to_json(result)))
    answer = client.get(f"{API}/results/6")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-result")
    wrong = client.get(f"{API}/results", params={"outcome": "false"})
    assert wrong.status_code == 422
    assert "must be one of fake, uncertain, real" in wrong.json()["detail"]


def test_a_file_that_grows_is_followed(file: Path) -> None:
    recorded = Recorded(file)
    assert sum(recorded.counts().values()) == 6
    more = text([scan("d/new.mp4", "fake", 0.95)])
    with file.open("a") as stream:
        stream.write(more[:40])  # as a run writes it: in parts
        stream.flush()
        assert sum(recorded.counts().values()) == 6
        assert recorded.progress()["complete"]
        stream.write(more[40:] + "no result\n")
    assert recorded.counts()["fake"] == 3
    assert recorded.progress()["unreadable_lines"] == [8]
    file.with_suffix(".new").write_text(text(RESULTS[:2]))
    file.with_suffix(".new").replace(file)  # a run that goes on drops lines
    assert recorded.counts() == {"fake": 1, "real": 1} | dict.fromkeys(
        ("uncertain", "no_face", "too_few_faces", "error"), 0
    )


def test_many_results_take_little_memory(tmp_path: Path) -> None:
    """3,000 lines of 10 kB: what is kept of each is a few hundred bytes."""
    file = tmp_path / "many.jsonl"
    value = to_json(scan("x", "fake", 0.9)) | {"warnings": ["w" * 10_000]}
    value["frames"] = value.pop("frames")  # behind what is listed, as always
    line = json.dumps(value).replace('"x"', '"folder/clip-%06d.mp4"', 1)
    with file.open("w") as stream:
        for n in range(3_000):
            stream.write(line % n + "\n")
    tracemalloc.start()
    recorded = Recorded(file)
    while not recorded.progress()["complete"] or not recorded.progress()["bytes"]:
        recorded.counts()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert recorded.counts()["fake"] == 3_000
    assert kept / 3_000 < 300
    assert recorded.listing(sort="path", backwards=True, limit=1).rows[0].n == 2_999


@pytest.mark.parametrize("content", ["[1]\n", "hello\n", '{"schema": 2}\n', "[\n {\n"])
def test_what_holds_no_results_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content)
    with pytest.raises(InputError, match="holds no results as JSON lines"):
        Recorded(file)
    result = CliRunner().invoke(cli, ["serve", "--no-open", "--results", str(file)])
    assert isinstance(result.exception, InputError)


def test_without_results_it_says_how() -> None:
    with serving(None) as client:
        answer = client.get(f"{API}/results")
    assert answer.status_code == 404
    assert "--results FILE.jsonl" in answer.json()["detail"]


def test_a_result_says_where_it_came_from(file: Path) -> None:
    result, _ = Recorded(file).get(1)
    assert isinstance(result, Scan)
    assert dataclasses.asdict(result.video) == dataclasses.asdict(RESULTS[1].video)  # type: ignore[union-attr]
