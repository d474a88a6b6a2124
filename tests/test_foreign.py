"""Detectors that were exported to ONNX elsewhere.

They are taken as they are, or refused in one line that says what would do.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from mesovid.cli import cli
from mesovid.models.card import read_card
from mesovid.models.classifier import load_model

GOLDEN = Path(__file__).parent / "golden"
DETECTOR = GOLDEN / "torch-detector.onnx"
FACES: np.ndarray = runpy.run_path(str(GOLDEN / "export_torch_detector.py"))["faces"]()


def take(file: Path, folder: Path, *options: object) -> Result:
    words = ["models", "import", str(file), "--to", str(folder), *map(str, options)]
    return CliRunner().invoke(cli, words)


def detector(
    path: Path,
    *,
    shape: tuple[Any, ...] = ("n", 3, 16, 16),
    columns: int = 1,
    last: str | None = None,
    kind: int = TensorProto.FLOAT,
    operator: tuple[str, str] | None = None,
) -> Path:
    """A network that adds up its input: mean over everything, times (-4, 4), `last` behind it."""
    weights = (
        np.array([[4.0]], np.float32)
        if columns == 1
        else np.linspace(-4, 4, columns, dtype=np.float32)[None]
    )
    axes = numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes")
    nodes = [helper.make_node("Cast", ["face"], ["x"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0)]
    flat = numpy_helper.from_array(np.array([-1, 1], np.int64), "flat")
    nodes += [helper.make_node("Reshape", ["mean", "flat"], ["column"])]
    nodes += [
        helper.make_node("MatMul", ["column", "weights"], ["sum" if last or operator else "out"])
    ]
    if last:
        nodes += [helper.make_node(last, ["sum"], ["out"])]
    if operator:
        nodes += [helper.make_node(operator[1], ["sum"], ["out"], domain=operator[0])]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("face", kind, shape)],
        [
            helper.make_tensor_value_info(
                "out", TensorProto.FLOAT, (shape[0] if shape else "n", columns)
            )
        ],
        [axes, flat, numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 18)] + (
        [helper.make_opsetid(operator[0], 1)] if operator else []
    )
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), path)
    return path


def test_a_detector_of_pytorch_gives_the_scores_of_pytorch(tmp_path: Path) -> None:
    result = take(DETECTOR, tmp_path, "--output", "fake", "--imagenet", "--name", "theirs")
    assert result.exit_code == 0, result.output
    assert "64 px, NCHW, RGB, logits of fake" in result.output
    expected = json.loads((GOLDEN / "torch-detector.json").read_text())["fake_probability"]
    for count in (1, 5):
        found = load_model(tmp_path / "theirs.json")(FACES[:count])
        np.testing.assert_allclose(found, expected[:count], atol=1e-4)


def test_it_scans_and_says_whose_scores_they_are(tmp_path: Path, astronaut: np.ndarray) -> None:
    from mesovid.opencv import cv2

    assert take(DETECTOR, tmp_path, "--output", "real", "--imagenet").exit_code == 0
    cv2.imwrite(str(tmp_path / "face.png"), astronaut[..., ::-1])
    words = [
        "scan",
        str(tmp_path / "face.png"),
        "--model",
        str(tmp_path / "torch-detector.json"),
        "--format",
        "json",
    ]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["model"]["name"] == "torch-detector"
    assert 0 < found["fake_probability"] < 1


@pytest.mark.parametrize(
    ("columns", "last", "scores", "expected"),
    [
        (1, None, "logit", 1 / (1 + np.exp(-4 * 0.2))),
        (1, "Sigmoid", "probability", 1 / (1 + np.exp(-4 * 0.2))),
        (2, None, "logits", 1 / (1 + np.exp(-8 * 0.2))),
        (2, "Softmax", "probabilities", 1 / (1 + np.exp(-8 * 0.2))),
    ],
)
def test_what_it_gives_is_read_off_the_graph(
    tmp_path: Path, columns: int, last: str | None, scores: str, expected: float
) -> None:
    file = detector(tmp_path / "d.onnx", columns=columns, last=last)
    assert take(file, tmp_path / "m", "--output", "fake").exit_code == 0
    assert read_card(tmp_path / "m/d.json").scores == scores
    faces = np.full((3, 16, 16, 3), 51, np.uint8)  # a fifth of 255
    np.testing.assert_allclose(load_model(tmp_path / "m/d.json")(faces), expected, atol=1e-6)


def test_colour_range_and_layout_are_applied(tmp_path: Path) -> None:
    file = detector(tmp_path / "d.onnx", shape=("n", 16, 16, 3))
    options = ["--range", -1, 1, "--colour", "BGR", "--mean", 0.5, 0, 0, "--deviation", 2, 1, 1]
    assert take(file, tmp_path, "--output", "real", *options).exit_code == 0
    faces = np.zeros((1, 16, 16, 3), np.uint8)
    faces[..., 2] = 255  # blue comes first: (1 - .5) / 2; the others are -1
    logit = 4 * (0.25 - 1 - 1) / 3
    np.testing.assert_allclose(
        load_model(tmp_path / "d.json")(faces), 1 - 1 / (1 + np.exp(-logit)), atol=1e-6
    )


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    file = detector(tmp_path / "d.onnx", shape=(2, 3, 16, 16))
    assert take(file, tmp_path, "--output", "fake").exit_code == 0
    classifier = load_model(tmp_path / "d.json")
    faces = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.full((16, 16, 3), 50, np.uint8)
    one_by_one = [float(classifier(faces[i : i + 1])[0]) for i in range(5)]
    np.testing.assert_allclose(classifier(faces), one_by_one, atol=1e-7)


def test_a_network_of_bytes_gets_bytes(tmp_path: Path) -> None:
    file = detector(tmp_path / "d.onnx", shape=("n", 16, 16, 3), kind=TensorProto.UINT8)
    assert take(file, tmp_path, "--output", "fake").exit_code == 0
    assert read_card(tmp_path / "d.json").input_range == (0, 255)
    refused = take(file, tmp_path, "--output", "fake", "--range", 0, 1)
    assert "takes bytes, 0 to 255; leave the range out" in str(refused.exception)


def external(path: Path) -> Path:
    onnx.save(
        onnx.load(DETECTOR),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


REFUSED = {
    "missing": (lambda p: p, "no such file"),
    "text": (lambda p: written(p, b"no network"), "is damaged or no ONNX network"),
    "empty": (lambda p: written(p, b""), "is damaged or no ONNX network"),
    "cut off": (lambda p: written(p, DETECTOR.read_bytes()[:4000]), "damaged"),
    "weights in another file": (external, "keeps weights in another file; save it as one"),
    "an operator of its own": (
        lambda p: detector(p, operator=("acme", "Magic")),
        "needs the operator Magic of 'acme', which ONNX Runtime does not bring",
    ),
    "no pictures": (
        lambda p: detector(p, shape=("n", 3, 8)),
        "takes anyx3x8; it must take pictures of faces",
    ),
    "grey": (lambda p: detector(p, shape=("n", 1, 16, 16)), "does not tell its layout"),
    "not square": (lambda p: detector(p, shape=("n", 3, 16, 32)), "faces are cut square"),
    "whole numbers": (
        lambda p: detector(p, kind=TensorProto.INT32),
        "takes int32 values; it must be one of",
    ),
    "a thousand classes": (lambda p: detector(p, columns=1000), "gives 1000 numbers a face"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    make, says = REFUSED[case]
    result = take(make(tmp_path / "d.onnx"), tmp_path / "out", "--output", "fake")
    assert result.exit_code != 0
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_number_beyond_one_is_no_probability(tmp_path: Path) -> None:
    result = take(
        detector(tmp_path / "d.onnx"),
        tmp_path / "out",
        "--output",
        "fake",
        "--scores",
        "probability",
    )
    assert "which is no probability; its card says probability" in str(result.exception)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--architecture", "meso4"], "--architecture and --activation are for Keras weights"),
        (["--imagenet", "--mean", 0, 0, 0], "--imagenet sets --mean and --deviation"),
        (["--range", 1, 0], "the range ascending"),
        (["--deviation", 0, 1, 1], "deviations above 0"),
        (["--layout", "NHWC"], "is not NHWC with three colours"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, options: list[object], says: str) -> None:
    result = take(detector(tmp_path / "d.onnx"), tmp_path / "out", "--output", "fake", *options)
    assert result.exit_code != 0
    assert says in result.output + str(result.exception)


def test_formats_are_for_onnx_alone(tmp_path: Path) -> None:
    (tmp_path / "w.h5").touch()
    result = take(
        tmp_path / "w.h5",
        tmp_path,
        "--output",
        "fake",
        "--architecture",
        "meso4",
        "--colour",
        "BGR",
    )
    assert result.exit_code == 2
    assert "--colour is for .onnx files" in result.output


def test_without_keras_file_the_other_runtime_is_refused(tmp_path: Path) -> None:
    assert take(DETECTOR, tmp_path, "--output", "fake").exit_code == 0
    result = CliRunner().invoke(
        cli,
        [
            "scan",
            str(DETECTOR),
            "--model",
            str(tmp_path / "torch-detector.json"),
            "--runtime",
            "tensorflow",
        ],
    )
    assert "imported as an .onnx file alone; run it with --runtime onnx" in str(result.exception)
