"""What training minimises, on logits of P(fake)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mesovid.settings import TrainSettings

Tensor = Any  # TensorFlow has no types to check


def loss_of(settings: TrainSettings, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The loss of a batch: a weighted mean over its faces, and over its ranked pairs.

    All tensors are float32 (b,); targets are P(fake), 0 and 1 unless a teacher had a say in them.
    In paired batches the i-th face of the first half is the fake of the i-th of the second.
    """
    smooth = targets * (1 - settings.label_smoothing) + 0.5 * settings.label_smoothing
    each = tf.nn.sigmoid_cross_entropy_with_logits(smooth, logits)
    if settings.loss == "focal":
        # Lin et al. 2017, arXiv 1708.02002, without their class weight: batches are balanced. For
        # targets between 0 and 1 as in Li et al. 2020, arXiv 2006.04388
        each *= tf.abs(targets - tf.sigmoid(logits)) ** settings.focal_gamma
    loss = tf.reduce_sum(weights * each) / tf.reduce_sum(weights)
    if settings.ranking:  # settings see to it that batches are paired
        half = tf.shape(logits)[0] // 2
        loss += settings.ranking * tf.reduce_mean(
            tf.math.softplus(logits[half : 2 * half] - logits[:half])
        )
    return loss
