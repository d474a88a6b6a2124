"""The network in training: one step at a time, its state in and out.

It knows TensorFlow, and nothing of files or datasets.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from mesovid.errors import TrainingError
from mesovid.settings import TrainSettings
from mesovid.training.checkpoint import Arrays
from mesovid.training.losses import loss_of

Floats = npt.NDArray[np.float64]


def learning_rate(settings: TrainSettings, epoch: float) -> float:
    """The learning rate at a moment of the run, in epochs from its start.

    `exponential` falls evenly (in the logarithm); it and `cosine` reach the limit at the end.
    """
    if epoch < settings.warmup:
        return settings.learning_rate * epoch / settings.warmup
    share = min(1.0, (epoch - settings.warmup) / max(settings.epochs - settings.warmup, 1e-9))
    start, limit = settings.learning_rate, settings.decay_limit
    if settings.schedule == "cosine":
        return limit + (start - limit) * 0.5 * (1 + math.cos(math.pi * share))
    if settings.schedule == "constant":
        return start
    floor = max(limit, 1e-12)
    return max(floor, start * math.pow(floor / start, share))


class Trainer:
    """A network, its optimizer and, if wanted, the running average of its weights."""

    def __init__(self, model: keras.Model, settings: TrainSettings) -> None:
        self.model = model
        self._settings = settings
        # the step works on logits: a sigmoid and its logarithm lose digits
        self._logits = keras.Model(model.inputs, model.layers[-1].input)
        self._optimizer = keras.optimizers.Adam(
            settings.learning_rate, global_clipnorm=settings.clip_norm or None
        )
        self._optimizer.build(model.trainable_variables)
        self._average = [tf.Variable(value) for value in model.weights] if settings.ema else []
        self._step = tf.function(self._train_step, autograph=False, reduce_retracing=True)
        self._predict = tf.function(
            lambda x: self.model(tf.cast(x, tf.float32), training=False),
            autograph=False,
            reduce_retracing=True,
        )

    def step(self, crops: Any, labels: Any, targets: Any, rate: float) -> tuple[Any, Any]:
        """Learn the targets of one batch.

        Gives its loss and how many faces were right by their labels, as tensors.
        """
        self._optimizer.learning_rate = rate
        result: tuple[Any, Any] = self._step(crops, labels, targets)
        return result

    def predict(self, crops: Any) -> Floats:
        """P(fake) (b,) of uint8 crops."""
        return np.asarray(self._predict(crops).numpy()[:, 0], np.float64)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the network has its averaged weights, where an average is kept."""
        if not self._average:
            yield
            return
        own = [tf.identity(weight.value) for weight in self.model.weights]
        for weight, mean in zip(self.model.weights, self._average, strict=True):
            weight.assign(mean)
        try:
            yield
        finally:
            for weight, value in zip(self.model.weights, own, strict=True):
                weight.assign(value)

    def state(self) -> tuple[Arrays, Arrays, Arrays]:
        """All variables of network, optimizer and average."""
        variables = (self.model.variables, self._optimizer.variables)
        model, optimizer = ([np.array(each.numpy()) for each in group] for group in variables)
        return model, optimizer, [np.array(each.numpy()) for each in self._average]

    def restore(self, model: Arrays, optimizer: Arrays, average: Arrays) -> None:
        """Put a state back. Raises TrainingError when it is that of another network."""
        groups = (
            (self.model.variables, model),
            (self._optimizer.variables, optimizer),
            (self._average, average),
        )
        for variables, arrays in groups:
            if [tuple(each.shape) for each in variables] != [array.shape for array in arrays]:
                raise TrainingError(
                    "the checkpoint is that of another network or optimizer; train into another "
                    "folder"
                )
        for variables, arrays in groups:
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)

    def _train_step(self, crops: Any, labels: Any, targets: Any) -> tuple[Any, Any]:
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._logits(tf.cast(crops, tf.float32), training=True)[:, 0]
            loss = loss_of(self._settings, logits, targets)
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        if self._average:
            self._follow()
        return loss, tf.reduce_sum(tf.cast((logits > 0) == (labels > 0.5), tf.int32))

    def _follow(self) -> None:
        """Move the average towards the weights.

        It moves faster in the first steps, when the weights are still far off.
        """
        count = tf.cast(self._optimizer.iterations, tf.float32)
        keep = tf.minimum(self._settings.ema, (1 + count) / (10 + count))
        for mean, weight in zip(self._average, self.model.weights, strict=True):
            if mean.dtype.is_floating:
                mean.assign_add((1 - keep) * (tf.cast(weight.value, mean.dtype) - mean))
