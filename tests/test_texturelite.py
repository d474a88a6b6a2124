"""TextureLite: what its head reads."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mesovid.errors import ModelError
from mesovid.models.architectures import build
from mesovid.models.texturelite import Deviation
from mesovid.settings import NetworkSettings


def test_deviations_are_those_of_numpy_and_never_lose_their_slope() -> None:
    maps = np.random.default_rng(0).normal(3, 2, (2, 5, 7, 4)).astype(np.float32)
    maps[..., 3] = 100.0  # varies nowhere
    found = np.asarray(Deviation()(maps))
    np.testing.assert_allclose(found[:, :3], maps[..., :3].std(axis=(1, 2)), rtol=1e-3)
    assert (found[:, 3] < 0.2).all()
    assert np.isfinite(found).all()


def test_where_the_texture_lies_makes_no_difference() -> None:
    model = build("texturelite", size=64)
    features = keras.Model(model.get_layer("deviation").input, model.get_layer("texture").output)
    shape = model.get_layer("deviation").input.shape[1:]
    maps = np.random.default_rng(1).random((1, *shape), np.float32)
    turned = features(maps[:, ::-1, ::-1])
    np.testing.assert_allclose(features(maps), turned, rtol=1e-4)


def test_its_trunk_is_mesolite_s() -> None:
    shapes = {layer.name: [w.shape for w in layer.weights] for layer in build("mesolite").layers}
    own = build("texturelite").layers
    trunk = [layer for layer in own if layer.name.startswith(("stem", "stage"))]
    assert len(trunk) > 50
    assert all(shapes[layer.name] == [w.shape for w in layer.weights] for layer in trunk)


def test_it_has_one_activation() -> None:
    with pytest.raises(ModelError, match="texturelite has no activation 'elu'"):
        build("texturelite", NetworkSettings(activation="elu"))
