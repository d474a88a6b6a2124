"""Fused batch normalisation learns exactly what Keras's own does."""

from __future__ import annotations

import numpy as np

from mesovid.models.architectures import build
from mesovid.training.fused import FusedBatchNormalization, fused

import keras  # isort: skip  # after mesovid, which keeps TensorFlow quiet
import tensorflow as tf  # isort: skip

RNG = np.random.default_rng(2)


def test_outputs_gradients_and_moving_averages_are_those_of_keras() -> None:
    maps = tf.constant(RNG.normal(3, 2, (4, 6, 6, 5)).astype(np.float32))
    found = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind()
        layer.build(maps.shape)
        layer.set_weights([np.arange(1, 6), np.arange(5), np.zeros(5), np.ones(5)])
        with tf.GradientTape() as tape:
            tape.watch(maps)
            outputs = layer(maps, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients = tape.gradient(loss, [maps, layer.gamma.value, layer.beta.value])
        found.append([outputs, *gradients, *layer.get_weights(), layer(maps, training=False)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=2e-3, atol=2e-3)


def test_a_network_keeps_its_function_and_the_order_of_its_weights() -> None:
    model = build("mesoinception4", size=64)
    model.set_weights([RNG.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    twin = fused(model)
    assert [type(layer).__name__ for layer in twin.layers].count("FusedBatchNormalization") == 4
    faces = RNG.integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(twin(faces, training=False)), np.asarray(model(faces, training=False)), atol=1e-6
    )
    assert [weight.shape for weight in twin.get_weights()] == [
        weight.shape for weight in model.get_weights()
    ]
