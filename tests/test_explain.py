"""What a model's layers make of a face, and why its score is what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate

from mesovid.align import align
from mesovid.errors import MesovidError, ModelError, SettingsError
from mesovid.explain.explainer import PARTS, Explainer
from mesovid.explain.graph import read_graph, with_outputs
from mesovid.explain.occlude import covered, fill_of
from mesovid.models.card import ModelCard
from mesovid.models.classifier import load_model
from mesovid.models.export import write_model
from mesovid.settings import Geometry, NetworkSettings, RuntimeSettings

CPU = RuntimeSettings(device="cpu", threads=1)
MODELS = ("meso4", "mesoinception4", "mesolite")
# the astronaut's eyes, nose and mouth corners as MTCNN finds them, px
LANDMARKS = np.array([(204, 110), (248, 112), (228, 142), (202, 154), (244, 156)], np.float32)


@pytest.fixture(scope="module")
def explainers() -> dict[str, Explainer]:
    return {name: Explainer(name, CPU) for name in MODELS}


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> np.ndarray:
    return align(astronaut, LANDMARKS, Geometry())


@pytest.fixture(scope="module")
def crops(face: np.ndarray) -> np.ndarray:
    """The face, noise, the face in noise, black, white, and one colour."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, face.shape, dtype=np.uint8)
    grainy = np.clip(face + rng.normal(0, 20, face.shape), 0, 255).astype(np.uint8)
    plain = [np.full(face.shape, value, np.uint8) for value in (0, 255, 77)]
    return np.stack([face, noise, grainy, *plain])


class TestGraph:
    @pytest.mark.parametrize("name", MODELS)
    def test_is_what_the_onnx_package_reads(
        self, name: str, explainers: dict[str, Explainer]
    ) -> None:
        import onnx
        from onnx import numpy_helper

        content = explainers[name]._content
        theirs, ours = onnx.load_from_string(content).graph, read_graph(content)
        assert [(n.op_type, tuple(n.input), tuple(n.output)) for n in theirs.node] == [
            (n.kind, n.inputs, n.outputs) for n in ours.nodes
        ]
        for node, own in zip(theirs.node, ours.nodes, strict=True):
            assert own.attributes == {
                a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
            }
        assert [i.name for i in theirs.initializer] == list(ours.constants)
        for initializer in theirs.initializer:
            np.testing.assert_array_equal(
                numpy_helper.to_array(initializer), ours.constants[initializer.name]
            )
        assert (ours.inputs, ours.outputs) == (("face",), ("probability",))

    def test_numbers_that_are_not_kept_raw_are_read_too(self) -> None:
        from onnx import TensorProto, helper

        values = {
            "float": helper.make_tensor("float", TensorProto.FLOAT, [2], [0.5, -2]),
            "double": helper.make_tensor("double", TensorProto.DOUBLE, [1, 2], [0.1, 3]),
            "int64": helper.make_tensor("int64", TensorProto.INT64, [3], [-1, 0, 2**40]),
            "int32": helper.make_tensor("int32", TensorProto.INT32, [], [-7]),
        }
        node = helper.make_node("Identity", ["float"], ["out"], name="x")
        graph = helper.make_graph([node], "g", [], [], list(values.values()))
        read = read_graph(helper.make_model(graph).SerializeToString()).constants
        assert {name: array.tolist() for name, array in read.items()} == {
            "float": [0.5, -2], "double": [[0.1, 3]], "int64": [-1, 0, 2**40], "int32": -7
        }  # fmt: skip

    def test_inner_tensors_become_outputs_in_order(self, explainers: dict[str, Explainer]) -> None:
        long = "x" * 300  # its length takes two bytes
        content = with_outputs(explainers["meso4"]._content, ["13_Relu", long, "1_Relu"])
        assert read_graph(content).outputs == ("probability", "13_Relu", long, "1_Relu")

    @pytest.mark.parametrize(
        "content",
        [b"", b"hello, I am no network", b"\x3a\x05\x0a", bytes(range(256)), b"\xff" * 40],
        ids=["empty", "text", "cut", "bytes", "ones"],
    )
    def test_other_bytes_are_refused(self, content: bytes) -> None:
        with pytest.raises(ModelError, match="onnx"):
            read_graph(content)

    def test_a_cut_file_is_refused(self, explainers: dict[str, Explainer]) -> None:
        with pytest.raises(ModelError, match="cut short"):
            read_graph(explainers["meso4"]._content[:50_000])


class TestLayers:
    def test_those_of_meso4(self, explainers: dict[str, Explainer]) -> None:
        layers = explainers["meso4"].layers
        assert [layer.name for layer in layers] == [
            "face", "conv1", "conv2", "conv3", "conv4", "dense1", "logit",
        ]  # fmt: skip
        assert [(layer.filters, layer.inputs, layer.kernel) for layer in layers[1:5]] == [
            (8, 3, (3, 3)), (8, 8, (5, 5)), (16, 8, (5, 5)), (16, 16, (5, 5)),
        ]  # fmt: skip
        assert dict(layers[4].shapes) == {
            "raw": (16, 32, 32),
            "activated": (16, 32, 32),
            "pooled": (16, 8, 8),
            "normalised": (16, 8, 8),
        }
        assert layers[5].sources == ("conv4",)

    def test_branches_meet(self, explainers: dict[str, Explainer]) -> None:
        explainer = explainers["mesoinception4"]
        joined = explainer.layer("concat1")
        assert joined.filters == 11
        assert [explainer.layer(name).dilation for name in joined.sources] == [1, 1, 2, 3]
        assert [explainer.layer(name).kernel for name in joined.sources] == [
            (1, 1),
            (3, 3),
            (3, 3),
            (3, 3),
        ]
        assert len([layer for layer in explainer.layers if layer.kind == "convolution"]) == 16

    def test_depthwise_filters_read_one_map(self, explainers: dict[str, Explainer]) -> None:
        layer = explainers["mesolite"].layer("conv2")
        assert (layer.kind, layer.filters, layer.inputs) == ("depthwise", 32, 1)

    def test_an_unknown_name_is_answered_with_the_known(
        self, explainers: dict[str, Explainer]
    ) -> None:
        with pytest.raises(
            ModelError, match=r"no layer 'conv9' in meso4; known: face, conv1, .*, logit"
        ):
            explainers["meso4"].layer("conv9")

    def test_what_was_not_learned_has_no_filters(self, explainers: dict[str, Explainer]) -> None:
        with pytest.raises(
            ModelError, match="'concat1' of mesoinception4 has no filters: it is a concat"
        ):
            explainers["mesoinception4"].filters("concat1")


class TestMaps:
    def test_equal_those_computed_by_hand(
        self, explainers: dict[str, Explainer], face: np.ndarray
    ) -> None:
        """Meso-4 from pixels to logit, with numpy and scipy alone."""
        explainer = explainers["meso4"]
        seen = {each.layer.name: each.maps for each in explainer.activations(face[None])}
        constants = explainer._graph.constants
        x = np.moveaxis(face, 2, 0).astype(np.float64)
        places = {"conv1": (0, 3), "conv2": (4, 7), "conv3": (8, 11), "conv4": (12, 15)}
        for name, (conv, affine) in places.items():
            kernel, bias = explainer.filters(name), constants[f"{conv}_Conv/bias"]
            x = np.stack(
                [
                    sum(correlate(m, k, "same") for m, k in zip(x, each, strict=True))
                    for each in kernel
                ]
            )
            x += bias[:, None, None]
            np.testing.assert_allclose(seen[name]["raw"][0], x, atol=1e-3)
            x = np.maximum(x, 0)
            np.testing.assert_allclose(seen[name]["activated"][0], x, atol=1e-3)
            side = 4 if name == "conv4" else 2
            x = x.reshape(len(x), x.shape[1] // side, side, x.shape[2] // side, side).max(
                axis=(2, 4)
            )
            np.testing.assert_allclose(seen[name]["pooled"][0], x, atol=1e-3)
            x = x * constants[f"{affine}_affine/scale"][:, None, None]
            x += constants[f"{affine}_affine/shift"][:, None, None]
            np.testing.assert_allclose(seen[name]["normalised"][0], x, atol=1e-3)
        z = np.moveaxis(x, 0, 2).ravel() @ constants["17_Gemm/kernel"] + constants["17_Gemm/bias"]
        np.testing.assert_allclose(seen["dense1"]["raw"][0], z, atol=1e-3)
        h = np.where(z > 0, z, 0.1 * z)
        np.testing.assert_allclose(seen["dense1"]["activated"][0], h, atol=1e-3)
        logit = float((h @ constants["19_Gemm/kernel"] + constants["19_Gemm/bias"]).item())
        assert explainer.logits(face[None])[0] == pytest.approx(logit, abs=1e-3)
        assert explainer.filters("dense1").shape == (16, 1024, 1, 1)

    @pytest.mark.parametrize("name", MODELS)
    def test_the_score_is_that_of_scan(
        self, name: str, explainers: dict[str, Explainer], crops: np.ndarray
    ) -> None:
        explainer = explainers[name]
        scores = [explainer.fake_probability(logit) for logit in explainer.logits(crops)]
        np.testing.assert_allclose(scores, load_model(name, CPU)(crops), atol=1e-6)

    def test_only_what_is_asked_for(
        self, explainers: dict[str, Explainer], crops: np.ndarray
    ) -> None:
        (only,) = explainers["meso4"].activations(crops[:2], ["conv3"], ["pooled"])
        assert {stage: maps.shape for stage, maps in only.maps.items()} == {
            "pooled": (2, 16, 32, 32)
        }

    def test_a_filter_that_never_fires_is_named(
        self, explainers: dict[str, Explainer], crops: np.ndarray
    ) -> None:
        explainer = explainers["meso4"]
        firing = {each.layer.name: each for each in explainer.firing(crops)}["conv1"]
        (seen,) = explainer.activations(crops, ["conv1"], ["activated"])
        never = np.flatnonzero((seen.maps["activated"] == 0).all(axis=(0, 2, 3)))
        assert firing.dead == tuple(never) == (3,)
        assert firing.share[3] == 0
        assert firing.faces == len(crops)
        np.testing.assert_array_equal(firing.most, seen.maps["activated"].max(axis=(0, 2, 3)))

    def test_no_face_says_nothing_of_filters(self, explainers: dict[str, Explainer]) -> None:
        with pytest.raises(ModelError, match="no face"):
            explainers["meso4"].firing(np.zeros((0, 256, 256, 3), np.uint8))

    @pytest.mark.parametrize(
        "crops",
        [np.zeros((1, 128, 128, 3), np.uint8), np.zeros((1, 256, 256, 3), np.float32)],
        ids=["size", "type"],
    )
    def test_crops_of_another_kind_are_refused(
        self, crops: np.ndarray, explainers: dict[str, Explainer]
    ) -> None:
        with pytest.raises(ModelError, match=r"wants uint8 crops \(n, 256, 256, 3\), got"):
            explainers["meso4"].activations(crops)


class TestSplit:
    @pytest.mark.parametrize("name", MODELS)
    def test_adds_up_to_the_logit(
        self, name: str, explainers: dict[str, Explainer], crops: np.ndarray
    ) -> None:
        explainer = explainers[name]
        for crop, logit in zip(crops, explainer.logits(crops), strict=True):
            split = explainer.split(crop)
            assert split is not None
            assert split.logit == pytest.approx(logit, abs=1e-4)
            assert split.cells.sum() + split.constant == pytest.approx(logit, abs=1e-4)
            assert sum(share.value for share in split.shares) + split.bias == pytest.approx(
                logit, abs=1e-4
            )

    def test_names_units_or_parts(self, explainers: dict[str, Explainer], face: np.ndarray) -> None:
        meso, lite = explainers["meso4"].split(face), explainers["mesolite"].split(face)
        assert meso is not None
        assert lite is not None
        assert [share.name for share in meso.shares] == [f"unit {n}" for n in range(1, 17)]
        assert (meso.cells.shape, meso.layer) == ((8, 8), "conv4")
        assert [share.name for share in lite.shares] == ["eyes", "nose", "mouth"]
        assert (lite.cells.shape, lite.layer) == ((16, 16), "add6")

    def test_parts_are_those_of_the_architecture(self) -> None:
        from mesovid.models import mesolite

        assert PARTS["mesolite"] == tuple(mesolite.PARTS)

    def test_what_lies_outside_of_the_parts_counts_against_the_whole(
        self, explainers: dict[str, Explainer], face: np.ndarray
    ) -> None:
        """By hand: each part's mean less the whole's, times its weights, cell by cell."""
        explainer = explainers["mesolite"]
        split = explainer.split(face)
        assert split is not None
        (last,) = explainer.activations(face[None], ["add6"], ["raw"])
        maps = last.maps["raw"][0].astype(np.float64)
        weights = explainer.filters("logit").reshape(3, 112).astype(np.float64)
        cells = np.zeros((16, 16))
        for (top, bottom), own in zip(((3, 7), (7, 10), (10, 15)), weights, strict=True):
            inside = np.zeros((16, 16))
            inside[top:bottom, 3:13] = 1 / ((bottom - top) * 10)
            cells += np.einsum("c,cij->ij", own, maps) * (inside - 1 / 256)
        np.testing.assert_allclose(split.cells, cells, atol=1e-5)

    @pytest.mark.parametrize(
        ("architecture", "settings"),
        [
            ("meso4", NetworkSettings(activation="elu")),
            ("meso4", NetworkSettings(activation="leaky_relu")),
            ("mesoinception4", NetworkSettings(activation="elu")),
            ("texturelite", NetworkSettings()),
            ("mesolite2", NetworkSettings()),
        ],
        ids=["elu", "leaky", "inception-elu", "texture", "two strides"],
    )
    def test_models_trained_otherwise_split_too(
        self, architecture: str, settings: NetworkSettings, tmp_path: Path
    ) -> None:
        import keras

        from mesovid.models.architectures import build

        keras.utils.set_random_seed(1)
        geometry = Geometry(size=64)
        model = build(architecture, settings, size=64)
        weights = [
            w + np.random.default_rng(i).normal(0, 0.1, w.shape) ** 2
            for i, w in enumerate(model.get_weights())
        ]
        model.set_weights(weights)
        card = ModelCard(name="own", architecture=architecture, network=settings, geometry=geometry)
        card = write_model(model, card, tmp_path)
        crop = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        for output in ("fake", "real"):
            replace(card, output=output).write(tmp_path)
            explainer = Explainer(tmp_path, CPU)
            split, probability = explainer.split(crop), load_model(tmp_path, CPU).raw(crop[None])[0]
            assert split is not None
            assert explainer.fake_probability(split.logit) == pytest.approx(probability, abs=1e-6)
            scale = max(1.0, abs(split.logit), np.abs(split.cells).max())
            close = pytest.approx(split.logit, abs=1e-4 * scale)
            assert split.cells.sum() + split.constant == close
            assert sum(share.value for share in split.shares) + split.bias == close
            if architecture == "mesolite2":  # a coarse cell lies over four fine ones
                assert split.cells.shape == (4, 4)
                assert len(split.shares) == 6
                assert split.shares[-1].name == "mouth, coarse"


class TestForeign:
    """Networks that other tools exported."""

    @pytest.mark.parametrize("scores", ["probability", "logit", "probabilities", "logits"])
    @pytest.mark.parametrize("output", ["fake", "real"])
    @pytest.mark.parametrize("batch", ["n", 3], ids=["any", "fixed"])
    def test_splits_whatever_it_gives(
        self, scores: str, output: str, batch: str | int, tmp_path: Path
    ) -> None:
        card = foreign(tmp_path, scores, output, batch)
        explainer = Explainer(tmp_path / f"{card.name}.onnx", CPU)
        crops = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
        wanted = load_model(tmp_path, CPU)(crops)
        found = [explainer.fake_probability(each) for each in explainer.logits(crops)]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
        split = explainer.split(crops[0])
        assert split is not None
        assert explainer.fake_probability(split.logit) == pytest.approx(wanted[0], abs=1e-6)
        assert split.cells.shape == (16, 16)
        assert split.cells.sum() + split.constant == pytest.approx(split.logit, abs=1e-5)
        assert sum(share.value for share in split.shares) + split.bias == pytest.approx(
            split.logit, abs=1e-5
        )
        assert explainer.occlusion(crops[0], 4).cells.shape == (4, 4)

    def test_layers_are_named_as_ours(self, tmp_path: Path) -> None:
        card = foreign(tmp_path, "logits", "fake", "n")
        explainer = Explainer(tmp_path / f"{card.name}.onnx", CPU)
        assert [layer.name for layer in explainer.layers] == ["face", "conv1", "logit"]
        assert list(explainer.layer("conv1").shapes) == ["raw", "activated", "pooled"]
        assert explainer.filters("conv1").shape == (5, 3, 3, 3)
        assert explainer.filters("logit").shape == (2, 5, 1, 1)

    def test_a_head_that_is_not_linear_is_occluded_all_the_same(self, tmp_path: Path) -> None:
        card = foreign(tmp_path, "logit", "fake", "n", head="Softplus")
        explainer = Explainer(tmp_path / f"{card.name}.onnx", CPU)
        crop = np.random.default_rng(2).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        assert not explainer.splits
        assert explainer.split(crop) is None
        assert np.abs(explainer.occlusion(crop).cells).max() > 0


def foreign(
    folder: Path, scores: str, output: str, batch: str | int, head: str = "Identity"
) -> ModelCard:
    """A network as PyTorch exports them: channels first, floats, normalised outside, weights as
    operators.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from mesovid.models.foreign import import_onnx

    rng = np.random.default_rng(3)
    columns = 2 if scores in ("probabilities", "logits") else 1
    weights = {
        "w1": rng.normal(0, 0.3, (5, 3, 3, 3)),
        "b1": rng.normal(0, 0.3, 5),
        "w2": rng.normal(0, 1, (columns, 5)),
        "b2": rng.normal(0, 1, columns),
    }
    arrays = {
        name: numpy_helper.from_array(value.astype(np.float32), name)
        for name, value in weights.items()
    }
    nodes = [
        helper.make_node("Constant", [], ["w1"], value=arrays["w1"]),
        helper.make_node("Conv", ["x", "w1", "b1"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[-1, -2], keepdims=0),
        helper.make_node(head, ["d"], ["e"]),
        helper.make_node("Gemm", ["e", "w2", "b2"], ["f"], transB=1),
    ]
    squash = {"probability": "Sigmoid", "probabilities": "Softmax"}.get(scores, "Identity")
    if squash == "Identity":
        nodes[-1].output[0] = "out"
    else:
        nodes.append(helper.make_node(squash, ["f"], ["out"]))
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, columns])],
        [arrays[name] for name in ("b1", "w2", "b2")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net-elsewhere.onnx")
    return import_onnx(
        folder / "net-elsewhere.onnx",
        output=output,
        geometry=Geometry(),
        folder=folder,
        name="net",
        mean=(0.5, 0.4, 0.3),
        deviation=(0.2, 0.2, 0.3),
        colour="BGR",
    )


class TestOcclusion:
    @pytest.mark.parametrize("fill", ["mean", "blur"])
    def test_equals_covering_by_hand(
        self, fill: str, explainers: dict[str, Explainer], face: np.ndarray
    ) -> None:
        explainer = explainers["meso4"]
        found = explainer.occlusion(face, 4, fill)
        by_hand = face.copy()
        by_hand[64:128, 192:256] = fill_of(face, fill, 4)[64:128, 192:256]
        whole, without = explainer.logits(np.stack([face, by_hand]))
        assert found.logit == pytest.approx(whole, abs=1e-5)
        assert found.cells[1, 3] == pytest.approx(whole - without, abs=1e-5)

    def test_a_plain_picture_hangs_on_nothing(self, explainers: dict[str, Explainer]) -> None:
        plain = np.full((256, 256, 3), 90, np.uint8)
        np.testing.assert_allclose(explainers["meso4"].occlusion(plain).cells, 0, atol=1e-5)

    def test_cells_cover_the_crop_once(self, face: np.ndarray) -> None:
        black = np.zeros_like(face)
        times = sum(
            (covered(face * 0 + 1, black, [(row, column)], 7) == 0).astype(int)
            for row in range(7)
            for column in range(7)
        )
        assert (times == 1).all()

    @pytest.mark.parametrize(("cells", "fill"), [(0, "mean"), (257, "mean"), (8, "black")])
    def test_what_cannot_be_covered_is_refused(
        self, cells: int, fill: str, explainers: dict[str, Explainer], face: np.ndarray
    ) -> None:
        with pytest.raises(SettingsError, match="it must be"):
            explainers["meso4"].occlusion(face, cells, fill)


def test_only_onnx_is_explained() -> None:
    with pytest.raises(MesovidError, match="onnx"):
        Explainer("meso4", RuntimeSettings(runtime="tensorflow"))
