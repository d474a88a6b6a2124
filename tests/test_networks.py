"""Networks on ONNX Runtime: what loads, what does not, and what the user is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mesovid.assets import trained_models
from mesovid.errors import ModelError, SettingsError
from mesovid.networks import available_devices, load_detector, load_onnx
from mesovid.settings import RuntimeSettings

CPU = RuntimeSettings(device="cpu")


@pytest.fixture
def doubler(tmp_path: Path) -> Path:
    """A network that gives twice its input, and its sum with a second one."""
    nodes = [
        helper.make_node("Add", ["a", "a"], ["twice"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
    ]
    ends = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
        for name in ("a", "b", "twice", "sum")
    }
    graph = helper.make_graph(
        nodes, "doubler", [ends["a"], ends["b"]], [ends["twice"], ends["sum"]]
    )
    path = tmp_path / "doubler.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def test_takes_inputs_and_gives_outputs_in_the_order_of_the_file(doubler: Path) -> None:
    network = load_onnx(doubler, CPU)
    twice, total = network(np.float32([1, 2]), np.float32([10, 20]))
    assert twice.tolist() == [2, 4]
    assert total.tolist() == [11, 22]


def test_one_thread_gives_the_same(doubler: Path) -> None:
    network = load_onnx(doubler, RuntimeSettings(device="cpu", threads=1))
    assert network(np.float32([1]), np.float32([2]))[1].tolist() == [3]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no network at .*absent\.onnx"):
        load_onnx(tmp_path / "absent.onnx", CPU)


@pytest.mark.parametrize(
    "content", [b"", b"not a network at all" * 50, b"half"], ids=["empty", "foreign", "half"]
)
def test_a_damaged_or_foreign_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.onnx"
    if content == b"half":
        whole = (trained_models() / "mtcnn-rnet.onnx").read_bytes()
        content = whole[: len(whole) // 2]
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"odd\.onnx is damaged or no ONNX network"):
        load_onnx(path, CPU)


def test_an_input_that_does_not_fit_is_named(doubler: Path) -> None:
    with pytest.raises(ModelError, match=r"does not take uint8\[3\], uint8\[3\]"):
        load_onnx(doubler, CPU)(np.zeros(3, np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(ModelError, match=r"does not take float32\[3\]"):
        load_onnx(doubler, CPU)(np.zeros(3, np.float32))


def test_the_processor_is_always_there_and_auto_finds_a_device(doubler: Path) -> None:
    assert "cpu" in available_devices()
    assert load_onnx(doubler, RuntimeSettings(device="auto"))(np.float32([1]), np.float32([2]))


@pytest.mark.parametrize("runtime", ["onnx", "tensorflow"])
def test_a_device_that_is_not_there_is_refused_with_what_is(runtime: str) -> None:
    absent = next(
        name for name in ("directml", "coreml", "openvino") if name not in available_devices()
    )
    with pytest.raises(SettingsError, match=f"'{absent}' is not there; the installed .* has .*cpu"):
        load_detector(RuntimeSettings(runtime=runtime, device=absent))
