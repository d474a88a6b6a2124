"""The arithmetic of one number of a map adds up to what the network says."""

from __future__ import annotations

import numpy as np
import pytest

from mesovid.errors import ModelError
from mesovid.explain.explainer import Explainer
from mesovid.records import Arithmetic

MODELS = ("meso4", "mesoinception4", "mesolite")


@pytest.fixture(scope="module")
def explainers() -> dict[str, Explainer]:
    return {name: Explainer(name) for name in MODELS}


@pytest.fixture(scope="module")
def crop(astronaut: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(astronaut[:256, 100:356])


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        ("meso4", "conv1"),
        ("meso4", "conv4"),
        ("meso4", "dense1"),
        ("mesoinception4", "conv5"),  # dilated
        ("mesolite", "conv1"),  # a step of two, padded at one side
        ("mesolite", "conv2"),  # depthwise
        ("mesolite", "logit"),
    ],
)
def test_products_and_bias_add_up(
    explainers: dict[str, Explainer], crop: np.ndarray, model: str, layer: str
) -> None:
    explainer = explainers[model]
    shape = explainer.layer(layer).shapes["raw"]
    sides = shape if len(shape) == 3 else (shape[0], 1, 1)
    for place in ((0, 0, 0), (side - 1 for side in sides), (side // 3 for side in sides)):
        found = explainer.arithmetic(crop, layer, *place)
        (raw,) = (step for step in found.steps if step.stage == "raw")
        assert raw.value is not None
        assert abs(found.total - raw.value) < 1e-4 * max(1, abs(raw.value))
        assert found.total == sum(term.value for term in found.terms) + found.bias
        for term in found.terms:
            assert term.value == pytest.approx(float((term.patch * term.kernel).sum()))


def test_stages_are_those_of_the_maps(explainers: dict[str, Explainer], crop: np.ndarray) -> None:
    explainer = explainers["meso4"]
    (conv2,) = explainer.activations(crop[None], ["conv2"])
    found = explainer.arithmetic(crop, "conv2", 3, 11, 20)
    for step in found.steps:
        assert step.place is not None
        assert step.value == conv2.maps[step.stage][(0, 3, *step.place)]
    raw, activated, pooled, normalised = found.steps
    assert raw.value is not None
    assert activated.value == max(raw.value, 0)
    winner = int(pooled.numbers["winner_row"]), int(pooled.numbers["winner_column"])
    assert pooled.value == conv2.maps["activated"][(0, 3, *winner)]
    assert pooled.place == (winner[0] // 2, winner[1] // 2) == (5, 10)
    numbers = normalised.numbers
    deviation = np.sqrt(numbers["variance"] + numbers["epsilon"])
    by_hand = numbers["scale"] * (pooled.value - numbers["mean"]) / deviation + numbers["shift"]
    assert normalised.value == pytest.approx(by_hand, abs=1e-5)


def inside(found: Arithmetic) -> tuple[slice, slice]:
    reach = found.reach
    return slice(reach.top, reach.bottom), slice(reach.left, reach.right)


@pytest.mark.parametrize(("model", "layer"), [("meso4", "conv3"), ("mesolite", "conv4")])
def test_nothing_outside_of_its_reach_matters(
    explainers: dict[str, Explainer], crop: np.ndarray, model: str, layer: str
) -> None:
    explainer = explainers[model]
    for place in ((1, 9, 14), (0, 0, 0)):
        first = explainer.arithmetic(crop, layer, *place)
        here = inside(first)
        outside = 255 - crop
        outside[here] = crop[here]
        assert explainer.arithmetic(outside, layer, *place).total == pytest.approx(
            first.total, abs=1e-5
        )
        corner = crop.copy()  # and it is no larger than it must be
        y, x = here[0].stop - 1, here[1].stop - 1
        corner[y, x] = 255 - corner[y, x]
        assert explainer.arithmetic(corner, layer, *place).total != first.total


@pytest.mark.parametrize(
    ("layer", "place", "says"),
    [
        ("conv1", (8, 0, 0), "map 8 of conv1: it has 0 to 7"),
        ("conv1", (0, 256, 0), "row 256 of conv1: it has 0 to 255"),
        ("conv1", (0, 0, -1), "column -1 of conv1: it has 0 to 255"),
        ("face", (0, 0, 0), r"face \(input\) has no filters"),
        ("conv9", (0, 0, 0), "no layer 'conv9'"),
    ],
)
def test_a_place_that_is_not_there_is_refused(
    explainers: dict[str, Explainer],
    crop: np.ndarray,
    layer: str,
    place: tuple[int, int, int],
    says: str,
) -> None:
    with pytest.raises(ModelError, match=says):
        explainers["meso4"].arithmetic(crop, layer, *place)
