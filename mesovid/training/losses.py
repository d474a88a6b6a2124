"""What training minimises, on logits of P(fake)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mesovid.settings import TrainSettings

Tensor = Any  # TensorFlow has no types to check


def loss_of(settings: TrainSettings, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of a batch: a mean over its faces, and over its pairs where they are ranked.

    Both tensors are float32 (b,); targets are P(fake), 0 and 1 unless a teacher had a say in them.
    In paired batches the i-th face of the first half is the fake of the i-th of the second.
    """
    loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
    if settings.ranking:  # settings see to it that batches are paired
        half = tf.shape(logits)[0] // 2
        loss += settings.ranking * tf.reduce_mean(
            tf.math.softplus(logits[half : 2 * half] - logits[:half])
        )
    return loss
