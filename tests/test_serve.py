"""The API over a real app: scans as jobs, faces, verdicts and models.

Every refusal is a problem (RFC 9457).
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2
import httpx2
import numpy as np
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from signing import Sign

from mesovid.cli import cli
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
from mesovid.serve.samples import ROOT as SAMPLES
from mesovid.settings import ServeSettings

TOKEN = "a-token-of-some-length"
API = "/api/v1"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = create_app(ServeSettings(max_upload=4), access("127.0.0.1", TOKEN), threads=1)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:8765", headers=headers) as found:
        yield found


@pytest.fixture(scope="module")
def portrait(astronaut: np.ndarray) -> bytes:
    return cv2.imencode(".png", astronaut[..., ::-1])[1].tobytes()


def ended(client: TestClient, id_: str) -> dict[str, Any]:
    for _ in range(600):
        job = client.get(f"{API}/scans/{id_}").json()
        if job["state"] in ("done", "failed", "cancelled"):
            return dict(job)
        time.sleep(0.05)
    raise AssertionError(f"still {job['state']}")


@pytest.fixture(scope="module")
def scanned(client: TestClient, portrait: bytes) -> dict[str, Any]:
    started = client.post(
        f"{API}/scans", params={"name": "../../etc/<b>face</b>.png"}, content=portrait
    )
    assert started.status_code == 202, started.text
    assert started.headers["location"] == f"{API}/scans/{started.json()['id']}"
    job = ended(client, started.json()["id"])
    assert job["state"] == "done", job
    return job


def test_what_names_ai_is_not_called_real_when_it_is_judged_again(
    client: TestClient, sign: Sign
) -> None:
    picture = sign(SAMPLES / "portrait.jpg", "trainedAlgorithmicMedia").read_bytes()
    named = {"name": "a.jpg", "model": "meso4"}
    id_ = client.post(f"{API}/scans", params=named, content=picture).json()["id"]
    result = ended(client, id_)["result"]
    base = f"{API}/scans/{id_}/verdict"
    assert (result["verdict"], client.get(base).json()["verdict"]) == ("uncertain", "uncertain")
    assert client.get(base, params={"threshold": 0.9}).json()["verdict"] == "real"


def problem(answer: Any, kind: str, status: int, says: str = "") -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"/problems/{kind}"
    assert body["status"] == status
    assert says in body["detail"]
    assert "/tmp" not in body["detail"]
    return dict(body)


def test_a_scan_says_what_the_command_says(
    client: TestClient, scanned: dict[str, Any], portrait: bytes, tmp_path: Path
) -> None:
    assert scanned["name"] == "b>.png"  # the last part of a name alone
    (tmp_path / "b>.png").write_bytes(portrait)
    result = CliRunner().invoke(
        cli, ["scan", str(tmp_path / "b>.png"), "--format", "json", "--threads", "1"]
    )
    expected = json.loads(result.stdout)
    found = json.loads(client.get(f"{API}/scans/{scanned['id']}/result.json").content)
    for value in (expected, found):
        value["seconds"] = None
    assert found == expected | {"path": "b>.png"}
    assert scanned["result"] | {"seconds": None} == found


@pytest.mark.parametrize(
    ("format_", "begins"), [("csv", "path,status"), ("txt", "b>.png"), ("jsonl", '{"schema"')]
)
def test_a_result_comes_in_every_format(
    client: TestClient, scanned: dict[str, Any], format_: str, begins: str
) -> None:
    answer = client.get(f"{API}/scans/{scanned['id']}/result.{format_}")
    assert answer.status_code == 200
    assert answer.text.startswith(begins)


def test_faces_are_listed_and_shown(client: TestClient, scanned: dict[str, Any]) -> None:
    base = f"{API}/scans/{scanned['id']}"
    (face,) = client.get(f"{base}/faces").json()
    assert (
        face["fake_probability"] == scanned["result"]["frames"][0]["faces"][0]["fake_probability"]
    )
    png = client.get(f"{base}/faces/0.png")
    assert png.headers["content-type"] == "image/png"
    crop = cv2.imdecode(np.frombuffer(png.content, np.uint8), cv2.IMREAD_COLOR)
    assert crop.shape == (256, 256, 3)
    frame = client.get(f"{base}/faces/0/frame.jpg")
    assert cv2.imdecode(np.frombuffer(frame.content, np.uint8), cv2.IMREAD_COLOR).shape == (
        512,
        512,
        3,
    )
    assert client.get(f"{base}/video", headers={"range": "bytes=0-9"}).content[:4] == b"\x89PNG"
    problem(
        client.get(f"{base}/faces/1.png"),
        "no-such-face",
        404,
        "no face 1; the scan has 1, from 0 on",
    )


def test_a_verdict_is_given_by_other_rules(client: TestClient, scanned: dict[str, Any]) -> None:
    base = f"{API}/scans/{scanned['id']}/verdict"
    own = client.get(base).json()
    assert {key: own[key] for key in ("verdict", "reason")} == {
        key: scanned["result"][key] for key in ("verdict", "reason")
    }
    probability = scanned["result"]["fake_probability"]
    assert client.get(base, params={"threshold": probability / 2}).json()["verdict"] == "fake"
    assert client.get(base, params={"threshold": (probability + 1) / 2}).json()["verdict"] == "real"
    body = problem(client.get(base, params={"threshold": 2}), "bad-setting", 422)
    assert body["field"] == "threshold"


def test_events_tell_the_scan_from_its_start_to_its_end(
    client: TestClient, scanned: dict[str, Any]
) -> None:
    address = f"{API}/scans/{scanned['id']}/events"
    with client.stream("GET", address) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    assert [line for line in text.split("\n") if line.startswith("event")] == [
        "event: running", "event: face", "event: done",
    ]  # fmt: skip
    with client.stream("GET", address, headers={"last-event-id": "2"}) as answer:
        assert "".join(answer.iter_text()).startswith("id: 3\nevent: done")


def test_a_file_that_cannot_be_read_is_a_failed_scan(client: TestClient) -> None:
    started = client.post(f"{API}/scans", params={"name": "clip.mp4"}, content=b"no video at all")
    job = ended(client, started.json()["id"])
    assert job["state"] == "failed"
    assert job["problem"].startswith("clip.mp4: ")
    assert job["result"] is None
    answer = client.get(f"{API}/scans/{job['id']}/result.json")
    problem(answer, "not-finished", 409, "the scan failed: clip.mp4")


def test_erasing_leaves_nothing(client: TestClient, portrait: bytes) -> None:
    id_ = client.post(f"{API}/scans", params={"name": "a.png"}, content=portrait).json()["id"]
    ended(client, id_)
    root = client.app.state.mesovid.jobs.root  # type: ignore[attr-defined]
    assert (root / id_).is_dir()
    assert client.delete(f"{API}/scans/{id_}").status_code == 204
    assert not (root / id_).exists()
    problem(client.get(f"{API}/scans/{id_}"), "no-such-scan", 404)
    problem(client.delete(f"{API}/scans/{id_}"), "no-such-scan", 404)


def test_a_running_scan_is_erased_with_its_files(client: TestClient) -> None:
    clip = Path(__file__).parent.parent / "examples" / "astronaut.mp4"
    content = clip.read_bytes()
    ids = [
        client.post(f"{API}/scans", params={"name": "a.mp4", "every": 1}, content=content).json()[
            "id"
        ]
        for _ in range(3)
    ]
    for id_ in ids:
        assert client.delete(f"{API}/scans/{id_}").status_code == 204
    root = client.app.state.mesovid.jobs.root  # type: ignore[attr-defined]
    for _ in range(200):
        if not any((root / id_).exists() for id_ in ids):
            return
        time.sleep(0.05)
    raise AssertionError("files of erased scans are left")


@pytest.mark.parametrize(
    ("params", "content", "kind", "status", "says"),
    [
        ({"name": "a.txt"}, b"x", "unknown-kind", 415, "'a.txt' is neither a video nor a picture"),
        ({"name": "a.png"}, b"", "empty", 400, "the upload holds nothing"),
        ({"name": "a.png"}, bytes(4 * 2**20 + 1), "too-large", 413, "at most 4,194,304 bytes"),
        ({"name": "a.png", "frames": 0}, b"x", "bad-setting", 422, "frames is '0'"),
        ({"name": "a.png", "fps": 1, "every": 2}, b"x", "bad-setting", 422, "exclude each other"),
        (
            {"name": "a.png", "model": "../../x"},
            b"x",
            "no-such-model",
            404,
            "no model '../../x'; known: meso4",
        ),
        ({}, b"x", "bad-setting", 422, "name"),
    ],
)
def test_what_cannot_be_scanned_is_refused(
    client: TestClient, params: dict[str, Any], content: bytes, kind: str, status: int, says: str
) -> None:
    problem(client.post(f"{API}/scans", params=params, content=content), kind, status, says)


def test_a_body_of_unknown_length_is_bounded(client: TestClient) -> None:
    answer = client.post(f"{API}/scans", params={"name": "a.mp4"}, content=iter([bytes(2**20)] * 6))
    problem(answer, "too-large", 413)


def test_a_full_queue_says_when_to_come_again(portrait: bytes) -> None:
    app = create_app(ServeSettings(queue=1), access("127.0.0.1", None), threads=1)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answers = [
            client.post(f"{API}/scans", params={"name": "a.png"}, content=portrait)
            for _ in range(6)
        ]
        refused = [answer for answer in answers if answer.status_code != 202]
        assert refused
        problem(refused[0], "busy", 503, "all that this server queues")
        assert refused[0].headers["retry-after"] == "5"
        root = app.state.mesovid.jobs.root
    assert not root.exists()  # nothing is left after the end


@pytest.mark.parametrize(
    ("headers", "kind", "status"),
    [
        ({"host": "evil.example"}, "foreign-host", 421),
        ({"origin": "http://evil.example"}, "foreign-origin", 403),
        ({"origin": "null"}, "foreign-origin", 403),
        ({"sec-fetch-site": "cross-site"}, "foreign-origin", 403),
        ({"authorization": "Bearer wrong"}, "token-needed", 401),
        ({"authorization": "Basic x"}, "token-needed", 401),
        ({"authorization": "", "cookie": "mesovid-8765=wrong"}, "token-needed", 401),
    ],
)
def test_strangers_are_refused(
    client: TestClient, headers: dict[str, str], kind: str, status: int
) -> None:
    problem(client.get(f"{API}/models", headers=headers), kind, status)


def test_the_token_is_swapped_for_a_cookie(client: TestClient) -> None:
    wrong = client.post(f"{API}/session", json={"token": "x"}, headers={"authorization": ""})
    problem(wrong, "token-needed", 401)
    answer = client.post(f"{API}/session", json={"token": TOKEN}, headers={"authorization": ""})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    found = client.get(
        f"{API}/models", headers={"authorization": "", "cookie": f"mesovid-8765={TOKEN}"}
    )
    assert found.status_code == 200
    assert cookie.startswith("mesovid-8765=")  # a server at another port has one of its own
    other = {"authorization": "", "cookie": f"mesovid-8766={TOKEN}"}
    assert client.get(f"{API}/models", headers=other).status_code == 401


def test_models_are_told_whole(client: TestClient) -> None:
    names = [card["name"] for card in client.get(f"{API}/models").json()]
    assert "meso4" in names
    one = client.get(f"{API}/models/meso4").json()
    assert one["threshold"]
    conv = next(layer for layer in one["layers"] if layer["name"] == "conv1")
    assert (conv["kind"], conv["filters"]) == ("convolution", 8)
    filters = client.get(f"{API}/models/meso4/filters/conv1").json()
    assert filters["shape"] == [8, 3, 3, 3]
    body = problem(client.get(f"{API}/models/meso4/filters/conv9"), "no-such-layer", 404)
    assert "conv1" in body["known"]
    problem(client.get(f"{API}/models/none"), "no-such-model", 404)


def test_the_network_comes_with_its_inner_tensors(client: TestClient) -> None:
    import onnx

    answer = client.get(f"{API}/models/meso4/network.onnx")
    assert len(onnx.load_from_string(answer.content).graph.output) > 10
    again = client.get(
        f"{API}/models/meso4/network.onnx", headers={"if-none-match": answer.headers["etag"]}
    )
    assert again.status_code == 304


def test_a_face_is_explained(client: TestClient, scanned: dict[str, Any]) -> None:
    asked = {"face": {"scan": scanned["id"], "n": 0}, "cells": 4}
    found = client.post(f"{API}/explanations", json=asked).json()
    split = found["split"]
    assert abs(split["adds_up_to"] - split["logit"]) < 1e-4
    assert len(split["shares"]) == 16
    assert np.shape(found["occlusion"]["cells"]) == (4, 4)
    wrong = client.post(
        f"{API}/explanations", json=asked | {"face": {"scan": scanned["id"], "n": 7}}
    )
    problem(wrong, "no-such-face", 404)


def test_a_posted_face_is_scored_and_its_maps_given(
    client: TestClient, scanned: dict[str, Any]
) -> None:
    png = client.get(f"{API}/scans/{scanned['id']}/faces/0.png").content
    found = client.post(f"{API}/predictions", params={"layers": "dense1"}, content=png).json()
    score = scanned["result"]["frames"][0]["faces"][0]
    assert abs(found["fake_probability"] - score["members"]["meso4"]) < 1e-4
    assert found["layers"]["dense1.raw"]["shape"] == [16]
    large = client.post(f"{API}/predictions", params={"layers": "conv1"}, content=png)
    assert large.headers["content-type"] == "application/x-npz"
    problem(client.post(f"{API}/predictions", content=b"x"), "unreadable", 422)
    problem(client.post(f"{API}/predictions", content=b""), "empty", 400)
    problem(
        client.post(f"{API}/predictions", params={"layers": "x"}, content=png), "no-such-layer", 404
    )


def test_maps_come_as_safetensors_with_how_the_logit_came_about(
    client: TestClient, scanned: dict[str, Any]
) -> None:
    png = client.get(f"{API}/scans/{scanned['id']}/faces/0.png").content
    params = {
        "layers": "conv1,dense1",
        "stages": "activated",
        "split": "true",
        "format": "safetensors",
    }
    content = client.post(f"{API}/predictions", params=params, content=png).content
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    about = json.loads(head["__metadata__"]["prediction"])
    assert abs(about["split"]["adds_up_to"] - about["logit"]) < 1e-4
    assert set(head) == {"__metadata__", "conv1.activated", "dense1.activated"}
    start, stop = head["conv1.activated"]["data_offsets"]
    maps = np.frombuffer(content[8 + length + start : 8 + length + stop], "<f4").reshape(
        8, 256, 256
    )
    whole = client.post(f"{API}/predictions", params={"layers": "conv1"}, content=png).content
    with np.load(io.BytesIO(whole)) as archive:
        np.testing.assert_array_equal(maps, archive["conv1.activated"])
    wrong = client.post(
        f"{API}/predictions", params={"layers": "conv1", "stages": "x"}, content=png
    )
    assert "pooled" in problem(wrong, "bad-setting", 422, "no 'x'")["known"]


def test_filters_that_never_fire_are_told(client: TestClient, scanned: dict[str, Any]) -> None:
    found = client.get(f"{API}/scans/{scanned['id']}/firing").json()
    assert found["faces"] == 1
    assert len(found["layers"]["conv1"]["share"]) == 8
    for number in found["layers"]["conv1"]["dead"]:
        assert found["layers"]["conv1"]["share"][number] in (0, 1)
    problem(client.get(f"{API}/scans/none/firing"), "no-such-scan", 404)


def test_pages_are_safe_and_need_nothing_from_elsewhere(client: TestClient) -> None:
    for address in ("/docs", "/problems/too-large"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text
        assert "//" not in answer.text.replace("http://127", "")
    problem(client.get("/problems/none"), "no-such-page", 404)
    problem(client.get("/nowhere"), "no-such-page", 404)
    problem(client.put(f"{API}/scans"), "bad-method", 405)
    assert client.get("/healthz").text == "ok\n"


def test_the_schema_names_every_route(client: TestClient) -> None:
    schema = client.get(f"{API}/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    assert f"{API}/scans/{{id_}}/verdict" in schema["paths"]
    names = {each["name"] for each in schema["paths"][f"{API}/scans"]["post"]["parameters"]}
    assert {"name", "model", "frames", "min_face", "aggregate"} <= names


def test_the_server_starts_without_what_takes_long_to_import() -> None:
    program = (
        "import sys, mesovid.serve.run\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib', 'onnx'} & "
        "set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)


class Served:
    """A server in a process of its own."""

    def __init__(self, *options: str, temporary: Path | None = None) -> None:
        own = {} if temporary is None else {"TMPDIR": str(temporary)}
        words = [sys.executable, "-m", "mesovid", "serve", "--no-open", "--port", "0", *options]
        # else a script's child ignores it
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | own,
        )
        signal.signal(signal.SIGINT, heard)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        address = self.line.split()[3]
        self.base, _, self.token = address.partition("#token=")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, path: str, **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return httpx2.request(more.pop("method", "GET"), self.base + path, headers=headers, **more)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_it_ends_at_a_signal_and_leaves_nothing(
    how: list[int], portrait: bytes, tmp_path: Path
) -> None:
    kept = "mesovid-serve-*/server-*"
    with Served(temporary=tmp_path) as server:
        answer = server.ask(
            "api/v1/scans", method="POST", params={"name": "a.png"}, content=portrait
        )
        assert answer.status_code == 202
        assert list(tmp_path.glob(kept))
        for number in how:
            server.process.send_signal(number)
        _, stderr = server.process.communicate(timeout=30)
    assert stderr == ""
    assert not list(tmp_path.glob(kept))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_what_a_killed_server_left_is_erased_by_the_next(portrait: bytes, tmp_path: Path) -> None:
    with Served(temporary=tmp_path) as first:
        answer = first.ask(
            "api/v1/scans", method="POST", params={"name": "a.png"}, content=portrait
        )
        assert answer.status_code == 202
    (left,) = tmp_path.glob("mesovid-serve-*/server-*")
    with Served(temporary=tmp_path):
        assert not left.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "give --token-file with a secret"),
        (["--token-file", "x", "--no-token"], "exclude each other"),
        (["--token-file", "no-such-file"], "cannot read the token"),
        (["--host", "203.0.113.7", "--token-file", "TOKEN"], "cannot listen at 203.0.113.7"),
    ],
)
def test_what_would_be_open_or_impossible_is_refused(
    tmp_path: Path, options: list[str], says: str
) -> None:
    (tmp_path / "token").write_text("a secret of some length\n")
    words = [str(tmp_path / "token") if word == "TOKEN" else word for word in options]
    result = CliRunner().invoke(cli, ["serve", "--no-open", *words])
    assert result.exit_code == 2
    assert says in result.output


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = CliRunner().invoke(
            cli, ["serve", "--no-open", "--port", str(taken.getsockname()[1])]
        )
    assert result.exit_code == 2
    assert "Address already in use" in result.output
