"""Models load by name, path and folder, or not at all.

Never with other weights than their card names.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesovid import assets
from mesovid.errors import ModelError
from mesovid.models import card
from mesovid.models.architectures import build
from mesovid.models.card import Calibration, Figure, ModelCard, available, read_card
from mesovid.models.classifier import load_model
from mesovid.models.export import write_model
from mesovid.settings import Geometry, NetworkSettings, RuntimeSettings

CARD = ModelCard(
    name="small",
    architecture="meso4",
    geometry=Geometry(size=64),
    threshold=0.6,
    uncertain=(0.4, 0.6),
    calibration=Calibration("platt", 0.5, -0.25),
    figures=(Figure("a set", "video AUC", 0.9, low=0.8, high=0.95),),
)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported network of random weights."""
    folder = tmp_path_factory.mktemp("model")
    write_model(build("meso4", NetworkSettings(), size=64), CARD, folder)
    return folder


@pytest.fixture
def model(exported: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(exported, tmp_path / "model"))


@pytest.fixture
def faces() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("which", ["", "small.json", "small.onnx", "small.keras"])
def test_folder_and_every_file_name_the_model(
    which: str, exported: Path, faces: np.ndarray
) -> None:
    loaded = load_model(exported / which)
    assert loaded.card.name == loaded.ref.name == "small"
    assert loaded.ref.threshold == 0.6
    assert loaded.ref.sha256 == loaded.card.sha256["onnx"]
    probability = loaded(faces)
    assert probability.shape == (5,)
    assert ((probability > 0) & (probability < 1)).all()


def test_both_runtimes_give_the_same_scores(exported: Path, faces: np.ndarray) -> None:
    onnx = load_model(exported)(faces)
    np.testing.assert_allclose(
        load_model(exported, RuntimeSettings(runtime="tensorflow"))(faces), onnx, atol=1e-5
    )


def test_probability_of_real_is_turned_round_once(faces: np.ndarray, tmp_path: Path) -> None:
    plain = replace(CARD, calibration=Calibration())
    write_model(build("meso4", size=64), plain, tmp_path)
    as_fake = load_model(tmp_path)(faces)
    card = replace(read_card(tmp_path), output="real")
    card.write(tmp_path)
    np.testing.assert_allclose(load_model(tmp_path)(faces), 1 - as_fake, atol=1e-12)


def test_calibration_is_applied_to_the_logit(exported: Path, faces: np.ndarray) -> None:
    loaded = load_model(exported)
    raw = loaded.raw(faces)
    expected = 1 / (1 + np.exp(-(0.5 * np.log(raw / (1 - raw)) - 0.25)))
    np.testing.assert_allclose(loaded(faces), expected, rtol=1e-6)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 10), st.floats(-5, 5))
def test_calibration_keeps_the_order_of_scores(
    a: float, b: float, scale: float, shift: float
) -> None:
    low, high = Calibration("platt", scale, shift)([min(a, b), max(a, b)])
    assert 0 <= low <= high <= 1


def test_no_crops_give_no_scores(exported: Path) -> None:
    assert load_model(exported)(np.zeros((0, 64, 64, 3), np.uint8)).shape == (0,)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((2, 32, 32, 3), np.uint8),
        np.zeros((2, 64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint8),
    ],
    ids=["size", "type", "single"],
)
def test_crops_of_another_kind_are_refused(crops: np.ndarray, exported: Path) -> None:
    with pytest.raises(ModelError, match=r"wants uint8 crops \(n, 64, 64, 3\)"):
        load_model(exported)(crops)


def test_unknown_name_lists_the_known_ones(monkeypatch: pytest.MonkeyPatch, exported: Path) -> None:
    monkeypatch.setattr(assets, "_PACKAGE", exported)
    monkeypatch.setattr(card, "trained_models", lambda: exported)
    assert [card.name for card in available()] == ["small"]
    assert load_model("small").card.name == "small"
    with pytest.raises(ModelError, match="no model 'large'; known: small"):
        load_model("large")


@pytest.mark.parametrize("suffix", ["onnx", "keras"])
def test_other_weights_than_the_card_names_are_refused(suffix: str, model: Path) -> None:
    path = model / f"small.{suffix}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    runtime = "onnx" if suffix == "onnx" else "tensorflow"
    with pytest.raises(ModelError, match="damaged or was replaced"):
        load_model(model, RuntimeSettings(runtime=runtime))


def test_missing_weights_are_refused(model: Path) -> None:
    (model / "small.onnx").unlink()
    with pytest.raises(ModelError, match="weights of small are missing"):
        load_model(model)


def test_missing_card_is_refused(model: Path) -> None:
    (model / "small.json").unlink()
    with pytest.raises(ModelError, match="no card beside it"):
        load_model(model / "small.onnx")
    with pytest.raises(ModelError, match="holds no model"):
        load_model(model)


def test_weights_from_elsewhere_point_to_import(tmp_path: Path) -> None:
    (tmp_path / "theirs.h5").write_bytes(b"x")
    with pytest.raises(ModelError, match="mesovid models import"):
        load_model(tmp_path / "theirs.h5")


def test_several_models_in_a_folder_are_named(model: Path) -> None:
    shutil.copy(model / "small.json", model / "other.json")
    with pytest.raises(ModelError, match=r"other\.json, small\.json"):
        load_model(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "recipe"}, "not the card"),
        ({"schema": 99}, "schema 99"),
        ({"colours": "BGR"}, "unknown field 'colours'"),
        ({"output": "maybe"}, "must be fake or real"),
        ({"threshold": 3}, "between 0 and 1"),
        ({"uncertain": [0.9, 0.1]}, "ordered"),
        ({"calibration": {"method": "platt", "scale": -1, "shift": 0}}, "turn the scores round"),
        ({"geometry": {"size": 3}}, "at least 16"),
        ({"network": {"activation": "swish"}}, "must be one of"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_spoilt_cards_are_refused(change: dict[str, object], message: str, model: Path) -> None:
    path = model / "small.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_a_card_that_is_no_json_is_refused(model: Path) -> None:
    (model / "small.json").write_text("{")
    with pytest.raises(ModelError, match="cannot read the model card"):
        load_model(model / "small.onnx")


def test_a_card_survives_its_file(exported: Path) -> None:
    card = read_card(exported)
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card
    assert replace(card, sha256={}, agreement={}, parameters=None) == CARD


def test_scoring_does_without_tensorflow(exported: Path) -> None:
    code = (
        "import sys; from mesovid.models.classifier import load_model; import numpy as np\n"
        f"load_model({str(exported)!r})(np.zeros((1, 64, 64, 3), np.uint8))\n"
        "print([name for name in ('tensorflow', 'keras', 'h5py', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
