"""The results of an archive over HTTP: listed, sorted, followed while they grow, opened."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from mesovid.archive import facts
from mesovid.cli import cli
from mesovid.errors import InputError
from mesovid.pictures import decode
from mesovid.records import Failure, ModelRef, Person, Scan, Verdict, VideoInfo
from mesovid.report.writers import to_json
from mesovid.scanner import Scanner
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


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip and what was recorded of it, with the faces as they were judged."""
    folder = tmp_path_factory.mktemp("clips")
    shutil.copy(Path(__file__).parent.parent / "examples" / "astronaut.mp4", folder / "clip.mp4")
    crops: list[np.ndarray] = []
    scanner = Scanner("meso4", frames=3, threads=1)
    found = scanner.scan(
        folder / "clip.mp4", lambda _path, batch, _scores: crops.extend(c.pixels for c in batch)
    )
    line = to_json(found) | {"file": facts(str(folder / "clip.mp4"))}
    (folder / "results.jsonl").write_text(json.dumps(line) + "\n")
    np.save(folder / "crops.npy", np.stack(crops))
    return folder


def reopened(client: TestClient) -> tuple[str, dict[str, Any]]:
    started = client.post(f"{API}/results/0/scan")
    assert started.status_code == 201, started.text
    for _ in range(600):
        job = client.get(started.headers["location"]).json()
        if job["state"] in ("done", "failed"):
            return started.headers["location"], job
        time.sleep(0.05)
    raise AssertionError(job)


def test_a_recorded_result_is_opened_with_its_faces(clip: Path) -> None:
    recorded = json.loads((clip / "results.jsonl").read_text())
    app = create_app(
        ServeSettings(),
        access("127.0.0.1", None),
        recorded=clip / "results.jsonl",
        roots=[clip],
        threads=1,
    )
    with TestClient(app, base_url="http://127.0.0.1") as client:
        address, job = reopened(client)
        assert (job["state"], job["faces_problem"], job["recorded"]) == ("done", None, True)
        assert job["result"] == {key: recorded[key] for key in job["result"]}
        for n, crop in enumerate(np.load(clip / "crops.npy")):
            found = decode(client.get(f"{address}/faces/{n}.png").content)
            # landmarks are recorded to a hundredth of a pixel
            np.testing.assert_allclose(found.astype(int), crop.astype(int), atol=1)
        assert client.get(f"{address}/faces/0/frame.jpg").status_code == 200
        assert client.get(f"{address}/video").content == (clip / "clip.mp4").read_bytes()
        harsh = client.get(f"{address}/verdict", params={"threshold": 0}).json()
        assert (harsh["verdict"], job["result"]["verdict"]) == ("fake", recorded["verdict"])
        looked = {"scan": job["id"], "n": 0, "model": "meso4"}
        assert client.get(f"{API}/maps/conv1", params=looked).status_code == 200
        report = client.get(f"{address}/report.html")
        assert "sandbox" in report.headers["content-security-policy"]
        assert report.text.count("data:image/jpeg") >= 3
        assert "clip.mp4" in report.text
        asked = {"path": str(clip / "clip.mp4"), "frames": 3, "model": "meso4"}
        sent = client.post(f"{API}/scans", params=asked)
        assert sent.status_code == 202, sent.text
        address = sent.headers["location"]
        with client.stream("GET", f"{address}/events") as answer:
            told = "".join(answer.iter_text())
        assert '"frames": 3, "of": 3' in told
        assert client.get(address).json()["result"]["frames"] == recorded["frames"]
        assert client.delete(address).status_code == 204
        outside = client.post(f"{API}/scans", params={"path": __file__})
        assert (outside.status_code, outside.json()["type"]) == (403, "/problems/not-allowed")
    assert (clip / "clip.mp4").is_file()  # it is the user's


def test_a_clip_that_has_changed_is_not_shown(clip: Path) -> None:
    path = clip / "clip.mp4"
    before = path.stat()
    try:
        for roots, change, says in (
            ([], False, "start with --allow-path"),
            ([clip / "none"], False, "outside of the folders"),
            ([clip], True, "the clip has changed since it was scanned"),
        ):
            if change:
                os.utime(path, (before.st_atime, before.st_mtime + 60))
            app = create_app(
                ServeSettings(),
                access("127.0.0.1", None),
                recorded=clip / "results.jsonl",
                roots=roots,
                threads=1,
            )
            with TestClient(app, base_url="http://127.0.0.1") as client:
                address, job = reopened(client)
                assert job["state"] == "done"
                assert says in job["faces_problem"]
                assert len(client.get(f"{address}/faces").json()) == 3
                answer = client.get(f"{address}/faces/0.png")
                assert (answer.status_code, answer.json()["type"]) == (410, "/problems/gone")
                assert client.get(f"{address}/video").status_code == 410
                assert client.get(f"{address}/verdict").status_code == 200
    finally:
        os.utime(path, (before.st_atime, before.st_mtime))
