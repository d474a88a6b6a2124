"""Sets of samples over HTTP: counted, drawn, paired, scored, measured; and models."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from mesovid.dataset.manifest import CropEntry, write_card, write_manifest
from mesovid.models.card import find_card, read_card
from mesovid.models.classifier import load_model
from mesovid.models.publish import publish
from mesovid.pictures import decode, encode
from mesovid.serve.app import create_app
from mesovid.serve.guard import access
from mesovid.serve.run import found_models
from mesovid.serve.sample_sets import sets_of
from mesovid.settings import ServeSettings

API = "/api/v1"
WEIGHTS = Path(__file__).resolve().parent.parent / "trained_models"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """Twelve videos of two faces: six real, and of each of three of them two fakes."""
    root = tmp_path_factory.mktemp("sets") / "mine"
    crops = []
    dice = np.random.default_rng(1)
    for number in range(12):
        fake, original = number >= 6, number % 3
        label, method = ("fake", ("Swap", "Lip")[number % 2]) if fake else ("real", None)
        split = "test" if original < 2 else "valid"
        for frame in (0, 10):
            file = f"{split}/{label}/v{number:02}/{frame:06}_0.png"
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            face = np.roll(astronaut[:256, 100:356], number * 3 + frame, axis=1).astype(int)
            noise = dice.integers(-30, 30, face.shape) if fake else 0
            (root / file).write_bytes(encode(np.clip(face + noise, 0, 255).astype(np.uint8)))
            crops.append(
                CropEntry(
                    file=file,
                    label=label,
                    method=method,
                    video=f"v{number:02}",
                    frame=frame,
                    time=frame / 25,
                    split=split,
                    original=f"v{original:02}" if fake else None,
                )
            )
    write_manifest(root, crops)
    geometry = read_card("meso4").geometry
    write_card(root, geometry=geometry, layout="folders", settings={}, crops=crops)
    return root


@pytest.fixture(scope="module")
def client(dataset: Path) -> Iterator[TestClient]:
    app = create_app(
        ServeSettings(allow_import=True, metrics=True, max_model=1, quota=64),
        access("127.0.0.1", None),
        sets=sets_of([str(dataset)]),
        threads=1,
    )
    with TestClient(app, base_url="http://127.0.0.1") as found:
        yield found


def problem(answer: Any, kind: str, status: int, says: str = "") -> dict[str, Any]:
    assert answer.status_code == status
    body = answer.json()
    assert body["type"] == f"/problems/{kind}"
    assert says in body["detail"]
    assert str(WEIGHTS) not in body["detail"]
    return dict(body)


def test_a_set_is_counted(client: TestClient) -> None:
    (about,) = client.get(f"{API}/sets").json()
    assert about == client.get(f"{API}/sets/mine").json()
    assert (about["total"], about["videos"], about["pairs"]) == (24, 12, 12)
    assert sum(cell["crops"] for cell in about["counts"]) == 24
    assert about["methods"] == ["Lip", "Swap", "none"]
    assert len(about["digest"]) == 64
    problem(client.get(f"{API}/sets/none"), "no-such-set", 404, "there is mine")


def test_faces_are_drawn_by_seed_filtered_paired_and_paged(client: TestClient) -> None:
    def ask(**asked: Any) -> dict[str, Any]:
        answer = client.get(f"{API}/sets/mine/faces", params=asked)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    drawn = ask(random=5)
    assert ask(random=5, seed=drawn["seed"])["faces"] == drawn["faces"]
    assert len({face["n"] for face in drawn["faces"]}) == 5
    fakes = ask(label="fake", method="Swap", split="test")
    assert {(f["label"], f["method"], f["split"]) for f in fakes["faces"]} == {
        ("fake", "Swap", "test")
    }
    assert fakes["matching"] == len(fakes["faces"]) == 4
    pages = [ask(offset=at, limit=10)["faces"] for at in (0, 10, 20)]
    assert [face["n"] for page in pages for face in page] == list(range(24))
    by_number = {face["n"]: face for page in pages for face in page}
    for face in ask(paired=True)["faces"]:
        pair = by_number[face["pair"]]
        assert pair["label"] == "real"
        assert pair["time"] == face["time"]
        assert pair["video"] == f"v{int(face['video'][1:]) % 3:02}"
    png = client.get(pages[0][0]["picture"])
    assert decode(png.content).shape == (256, 256, 3)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"random": 0}, "random is '0': Input should be greater than or equal to 1"),
        ({"random": -1}, "greater than or equal to 1"),
        ({"random": 25}, "random is 25; it must be at most 24"),
        ({"random": 13, "label": "fake"}, "at most 12"),
        ({"random": 501}, "less than or equal to 500"),
        ({"method": "Face2Face"}, "method 'Face2Face' is unknown; mine has Lip, Swap, none"),
        ({"split": "dev"}, "split 'dev' is unknown; mine has test, valid"),
        ({"label": "forged"}, "'real' or 'fake'"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_drawn_says_what_can(
    client: TestClient, asked: dict[str, Any], says: str
) -> None:
    problem(client.get(f"{API}/sets/mine/faces", params=asked), "bad-setting", 422, says)


def test_faces_are_scored_beside_what_they_are(client: TestClient) -> None:
    asked = {"random": 3, "seed": 7, "model": "meso4", "layers": "conv1,conv3"}
    found = client.get(f"{API}/sets/mine/predictions", params=asked).json()
    network = load_model("meso4")
    for face in found["predictions"]:
        pixels = decode(client.get(face["picture"]).content)
        assert abs(network(pixels[None])[0] - face["fake_probability"]) < 1e-5
        assert [address.split("/")[4] for address in face["maps"]] == ["conv1", "conv3"]
        assert client.get(face["maps"][0]).headers["content-type"] == "image/png"
        assert face["label"] in ("real", "fake")
    wrong = client.get(f"{API}/sets/mine/predictions", params={"layers": "9", "model": "meso4"})
    problem(wrong, "no-such-layer", 404)


def test_a_face_of_a_set_is_looked_into(client: TestClient) -> None:
    face = {"set": "mine", "n": 3, "model": "meso4"}
    shared = client.get(f"{API}/maps/conv2", params=face).json()
    own = client.get(f"{API}/maps/conv2", params=face | {"scale": "unit"}).json()
    assert len({each["largest"] for each in shared["maps"]}) == 1
    for each in own["maps"]:
        assert each["largest"] == max(abs(each["least"]), abs(each["most"]))
    assert shared["dead_of_faces"] == 24
    assert all(each["flat"] for each in shared["maps"] if each["dead"])
    asked = {"values": "true", "map": 1, "stage": "raw"}
    numbers = client.get(f"{API}/maps/conv2", params=face | asked).json()["values"][0]
    place = {"map": 1, "row": 4, "column": 9}
    one = client.get(f"{API}/maps/conv2/arithmetic", params=face | place).json()
    assert one["total"] == pytest.approx(numbers[4][9], abs=1e-4)
    assert one["reads"] == ["conv1"]
    for scale in ("shared", "unit"):
        sheet = client.get(f"{API}/maps/conv2/sheet.png", params=face | {"scale": scale})
        assert decode(sheet.content).shape[2] == 3
    reason = client.post(
        f"{API}/explanations",
        json={"face": {"set": "mine", "n": 3}, "model": "meso4", "methods": ["split"]},
    ).json()
    assert abs(reason["split"]["adds_up_to"] - reason["split"]["logit"]) < 1e-4
    problem(client.get(f"{API}/maps/conv2", params={"n": 0}), "bad-setting", 422, "a scan or a set")
    both = {"n": 0, "set": "mine", "scan": "x"}
    problem(client.get(f"{API}/maps/conv2", params=both), "bad-setting", 422, "a scan or a set")
    problem(client.get(f"{API}/maps/conv2", params=face | {"n": 24}), "no-such-sample", 404)
    wrong = client.get(f"{API}/maps/dense1", params=face | {"stage": "pooled"})
    problem(wrong, "bad-setting", 422, "dense1 has no stage pooled; it has raw, activated")


def ended(client: TestClient, address: str) -> dict[str, Any]:
    for _ in range(1200):
        job = client.get(address).json()
        if job["state"] in ("done", "failed", "cancelled"):
            return dict(job)
        time.sleep(0.05)
    raise AssertionError(job)


def test_a_model_is_measured_as_the_command_measures_it(client: TestClient, dataset: Path) -> None:
    from mesovid.dataset.manifest import read_dataset
    from mesovid.evaluation.evaluate import evaluate
    from mesovid.evaluation.results import to_json
    from mesovid.settings import EvaluateSettings

    asked = {"model": "meso4", "set": "mine", "split": "test", "resamples": 200}
    started = client.post(f"{API}/evaluations", json=asked)
    assert started.status_code == 202, started.text
    job = ended(client, started.headers["location"])
    assert job["state"] == "done", job
    settings = EvaluateSettings(split="test", resamples=200)
    by_hand = to_json(evaluate(read_dataset(dataset), [load_model("meso4")], settings))
    (model,) = by_hand["models"]
    for table in ("videos", "crops", "methods", "verdicts", "pairs"):
        assert job["result"]["models"][0][table] == json.loads(json.dumps(model[table]))
    report = job["result"]["models"][0]["report"]
    assert report["fake"]["videos"] == report["real"]["videos"] == 4
    curves = client.get(job["links"]["curves"]).json()
    assert curves == model["curves"]
    assert curves["roc"]["recall"][-1] == curves["roc"]["false_alarms"][-1] == 1
    with client.stream("GET", f"{started.headers['location']}/events") as answer:
        events = "".join(answer.iter_text())
    assert '"faces": 16, "of": 16' in events
    assert events.rstrip().endswith('data: {"event": "done", "problem": null}')
    assert client.delete(started.headers["location"]).status_code == 204
    problem(client.get(started.headers["location"]), "no-such-evaluation", 404)


@pytest.mark.parametrize(
    ("asked", "kind", "status", "says"),
    [
        ({"set": "other"}, "no-such-set", 404, "there is mine"),
        ({"set": "mine", "model": "x"}, "no-such-model", 404, "known: meso4"),
        ({"set": "mine", "resamples": 1}, "bad-setting", 422, "resamples"),
        ({"set": "mine", "colour": 1}, "bad-setting", 422, "colour"),
        ({}, "bad-setting", 422, "set"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    client: TestClient, asked: dict[str, Any], kind: str, status: int, says: str
) -> None:
    problem(client.post(f"{API}/evaluations", json=asked), kind, status, says)


def test_an_evaluation_that_fails_says_why(client: TestClient) -> None:
    started = client.post(f"{API}/evaluations", json={"set": "mine", "split": "dev"})
    job = ended(client, started.headers["location"])
    assert job["state"] == "failed"
    assert job["problem"] == "mine has no split 'dev'; it has test, valid; or take all"
    problem(client.get(f"{started.headers['location']}/curves"), "not-finished", 409, "no split")


def test_a_model_is_imported_and_erased(client: TestClient) -> None:
    content = (WEIGHTS / "meso4.onnx").read_bytes()
    asked = {"file": "../mine.onnx", "output": "fake", "geometry": "meso4"}
    taken = client.post(f"{API}/models", params=asked, content=content)
    assert taken.status_code == 201, taken.text
    assert taken.json()["sha256"]["onnx"] == read_card("meso4").sha256["onnx"]
    assert taken.json()["figures"] == []
    assert taken.json()["imported"]
    named = {card["name"]: card for card in client.get(f"{API}/models").json()}
    assert named["mine"]["weights_fit"]
    scored = client.get(f"{API}/sets/mine/predictions?random=1&seed=1&model=mine").json()
    assert 0 <= scored["predictions"][0]["fake_probability"] <= 1
    problem(client.post(f"{API}/models", params=asked, content=content), "bad-setting", 422, "mine")
    assert client.delete(f"{API}/models/mine").status_code == 204
    problem(client.get(f"{API}/models/mine"), "no-such-model", 404)
    problem(client.delete(f"{API}/models/meso4"), "not-allowed", 403, "was not imported")
    root = client.app.state.mesovid.place.root  # type: ignore[attr-defined]
    assert not list((root / "models").iterdir())


@pytest.mark.parametrize(
    ("asked", "content", "kind", "status", "says"),
    [
        ({"file": "a.pt"}, b"x", "unknown-kind", 415, "'a.pt' is no model by its name"),
        ({"file": "a.onnx"}, b"", "empty", 400, "holds nothing"),
        ({"file": "a.onnx"}, b"not onnx", "model-refused", 422, "a.onnx"),
        ({"file": "a.onnx"}, bytes(2**20 + 1), "too-large", 413, "1,048,576"),
        ({"file": "a.onnx", "architecture": "meso4"}, b"x", "bad-setting", 422, "Keras weights"),
        ({"file": "a.h5"}, b"x", "bad-setting", 422, "need architecture"),
        ({"file": "a.h5", "scores": "logit"}, b"x", "bad-setting", 422, "are for .onnx files"),
        ({"file": "a.onnx", "name": "../x"}, b"x", "bad-setting", 422, "cannot have the name"),
        ({"file": "a.onnx", "name": "meso4"}, b"x", "bad-setting", 422, "is there already"),
        ({"file": "a.onnx", "geometry": "/etc"}, b"x", "no-such-model", 404, "known: meso4"),
    ],
)
def test_what_is_no_model_is_refused(
    client: TestClient, asked: dict[str, Any], content: bytes, kind: str, status: int, says: str
) -> None:
    answer = client.post(f"{API}/models", params={"output": "fake"} | asked, content=content)
    problem(answer, kind, status, says)


def test_figures_belong_to_the_weights(tmp_path: Path) -> None:
    publish("meso4", tmp_path / "own")
    for suffix in (".json", ".onnx", ".keras"):
        (tmp_path / "own" / f"meso4{suffix}").rename(tmp_path / "own" / f"mine{suffix}")
    card = dataclasses.replace(read_card("meso4"), name="mine")
    card.write(tmp_path / "own")
    history = "epoch,loss,val_auc\n1,0.5,\n2,0.4,0.8\n"
    (tmp_path / "own" / "history.csv").write_text(history)
    (tmp_path / "own" / "run.json").write_text('{"model": "mine", "best_epoch": 2}')
    models = found_models([str(tmp_path)])  # a folder of runs' folders
    app = create_app(ServeSettings(), access("127.0.0.1", None), models=models, threads=1)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.get(f"{API}/models/mine").json()["figures"]
        curves = client.get(f"{API}/models/mine/curves").json()
        assert curves["best_epoch"] == 2
        assert curves["epochs"][0] == {"epoch": 1, "loss": 0.5, "val_auc": None}
        onnx = find_card("meso4").with_name("mesoinception4.onnx")
        (tmp_path / "own" / "mine.onnx").write_bytes(onnx.read_bytes())
        changed = client.get(f"{API}/models/mine").json()
        assert (changed["weights_fit"], changed["figures"]) == (False, [])
        refused = client.get(f"{API}/models/mine/network.onnx")
        problem(refused, "model-refused", 422, "sha256")
        problem(
            client.post(f"{API}/models?file=a.onnx&output=fake", content=b"x"),
            "not-allowed",
            403,
            "--allow-import",
        )


def test_metrics_tell_no_names(client: TestClient) -> None:
    text = client.get("/metrics").text
    assert 'mesovid_requests_total{method="GET",status="200"}' in text
    assert "mesovid_kept_bytes" in text
    assert "mine" not in text
