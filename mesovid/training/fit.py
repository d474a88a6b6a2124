"""A training run: from datasets to a model with a card, epoch by epoch.

It can be killed and go on.

After each epoch the whole state is on disk. What is random follows from the seed and the number of
the epoch alone, so that an epoch that was cut off is done again as it would have been.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mesovid.backend import import_tensorflow
from mesovid.errors import TrainingError
from mesovid.files import whole, write_whole
from mesovid.models.architectures import build
from mesovid.models.card import ModelCard
from mesovid.models.weights import fill, load_weights
from mesovid.pictures import encode, resized
from mesovid.records import Pixels
from mesovid.settings import TrainSettings

import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from mesovid.evaluation.calibrate import decide  # noqa: E402
from mesovid.evaluation.metrics import Scores, auc  # noqa: E402
from mesovid.models.export import save_keras, write_model  # noqa: E402
from mesovid.training import checkpoint, curves  # noqa: E402
from mesovid.training.blend import blend_sheet  # noqa: E402
from mesovid.training.checkpoint import Epoch, State  # noqa: E402
from mesovid.training.feed import Feed, Teacher  # noqa: E402
from mesovid.training.fused import fused  # noqa: E402
from mesovid.training.job import Reporter, TrainJob, describe  # noqa: E402
from mesovid.training.prepare import Prepared, Start, finished, prepare  # noqa: E402
from mesovid.training.run_folder import (  # noqa: E402
    BEST,
    CURVES,
    LAST,
    writing,
)
from mesovid.training.samples import (  # noqa: E402
    CropReader,
    Samples,
    TrainingData,
)
from mesovid.training.trainer import Trainer, learning_rate  # noqa: E402

VALID_BATCH = 64  # crops
CHECK_EVERY = 16  # batches between looks at the loss: each look waits for the device
SHEET_ROWS, SHEET_COLUMNS = 6, 8
BLENDED_ROWS = 8
PROBES = 64  # validation crops on which both exported files are compared


def train(job: TrainJob, reporter: Reporter | None = None) -> ModelCard:
    """Train, or go on with training, and write the model and its card into the run's folder.

    Raises SettingsError, TrainingError, DatasetError or ModelError with one line; the run stays
    resumable.
    """
    reporter = reporter or Reporter()
    prepared = prepare(job)
    return finished(prepared, reporter) or run(prepared, reporter)


def run(prepared: Prepared, reporter: Reporter) -> ModelCard:
    """`train` of what is prepared and not finished."""
    _use_device(prepared.job.train)
    prepared.folder.begin()
    for note in (*prepared.data.notes, *prepared.caveats):
        reporter.say(f"note: {note}")
    reporter.say(_account(prepared.data))
    session = _Run(prepared, reporter)
    session.train()
    return session.finish()


class _Run:
    """One run in memory."""

    def __init__(self, prepared: Prepared, reporter: Reporter) -> None:
        job, data = prepared.job, prepared.data
        keras.utils.set_random_seed(job.train.seed)
        self._prepared, self._job, self._data = prepared, job, data
        self._folder, self._sampler, self._reporter = prepared.folder, prepared.sampler, reporter
        self._trainer = Trainer(fused(_initial_model(prepared)), job.train)
        # validation crops are read in every epoch, so they come first
        size, memory = data.geometry.size, job.train.cache * 1e9
        of_valid = min(memory, len(data.valid) * size * size * 3)
        self._valid = _feed(data.valid, job, size, of_valid)
        learned = _feed(data.train, job, size, memory - of_valid)
        teacher = None
        if prepared.teacher is not None:
            teacher = Teacher(prepared.teacher, job.train.distillation)
        self._train = replace(learned, teacher=teacher)
        self._history: list[Epoch] = []
        self._best = 0
        self._logs: Any = None
        self._restore()

    def train(self) -> None:
        """Train epoch after epoch, to the end or until nothing gets better.

        With 0 epochs the start is kept as it is.
        """
        if not self._job.train.epochs:
            with writing(self._job.folder):
                self._save_models(better=True)
            return
        if not self._history:
            self._draw_samples()
        while len(self._history) < self._job.train.epochs and not self._exhausted():
            self._epoch(len(self._history))
        if self._exhausted() and len(self._history) < self._job.train.epochs:
            self._reporter.say(
                f"stopped: no better epoch than {self._best} for {self._job.train.patience} epochs"
            )

    def finish(self) -> ModelCard:
        """Make the best epoch, or the last, the model.

        It is calibrated, gets threshold and band, and is exported and described.
        """
        prepared, settings = self._prepared, self._job.train
        last = settings.keep == "last"
        load_weights(self._trainer.model, self._job.folder / (LAST if last else BEST))
        scores = self._scores()
        # as they are, faces of the people that were learned from make probabilities too sure
        varied = self._scores(varied=True) if self._job.augment.augment else None
        decision = decide(scores, settings.false_alarms, self._data.valid.dataset, varied)
        probes = next(self._valid.once(PROBES))[0].numpy()
        epochs = {
            "epochs": len(self._history),
            "best_epoch": self._best,
            "kept_epoch": len(self._history) if last else self._best,
        }
        card = describe(
            self._job,
            self._data,
            prepared.datasets,
            decision,
            scores,
            {**prepared.plan, **epochs},
            prepared.caveats,
        )
        with writing(self._job.folder):
            card = write_model(self._trainer.model, card, self._job.folder, probes)
        self._folder.note(status="finished", best_epoch=self._best, model=card.name)
        return card

    def _epoch(self, number: int) -> None:
        began = time.perf_counter()
        loss, accuracy, rate = self._learn(number)
        learned = time.perf_counter()
        with self._trainer.averaged():
            scores = self._scores()
            line = self._line(number, scores, loss, accuracy, rate, (began, learned))
            self._history.append(line)
            better = self._is_best()
            if better:
                self._best = line.epoch
            with writing(self._job.folder):
                self._save_models(better)
        with writing(self._job.folder):
            checkpoint.save(
                State(tuple(self._history), self._best, *self._trainer.state()), self._job.folder
            )
            self._folder.write_history(self._history)
            with whole(self._job.folder / CURVES) as partial:
                curves.draw(self._history, self._best, partial)
        self._log(line)
        self._reporter.say(_sentence(line, self._job.train.epochs, better))

    def _learn(self, number: int) -> tuple[float, float, float]:
        """One pass over the plan of an epoch; mean loss, accuracy, last learning rate."""
        plan = self._sampler.epoch(number)
        settings = self._job.train
        losses: list[Any] = []
        right: list[Any] = []
        rate = settings.learning_rate
        for step, (crops, labels, targets) in enumerate(self._train.train(plan)):
            rate = learning_rate(settings, number + (step + 1) / len(plan))
            loss, hits = self._trainer.step(crops, labels, targets, rate)
            losses.append(loss)
            right.append(hits)
            if step % CHECK_EVERY == 0 or step + 1 == len(plan):
                self._check(loss, number, step, rate)
                self._reporter.step(number + 1, step + 1, len(plan))
        values = np.array([float(loss) for loss in losses])
        if not np.isfinite(values).all():
            self._check(values[~np.isfinite(values)][0], number, len(plan) - 1, rate)
        faces = len(plan) * settings.batch_size
        return float(values.mean()), sum(int(hits) for hits in right) / faces, rate

    def _check(self, loss: Any, number: int, step: int, rate: float) -> None:
        if not math.isfinite(float(loss)):
            kept = f"epoch {number} is kept" if number else "nothing was learned yet"
            raise TrainingError(
                f"the loss became {float(loss)} in epoch {number + 1} by batch {step + 1} at "
                f"learning rate {rate:.2g}; {kept}: go on with --override and a lower "
                "--learning-rate or --clip-norm 1"
            )

    def _scores(self, *, varied: bool = False) -> Scores:
        """Raw P(fake) of the validation crops, as they are or varied as in training."""
        valid = self._data.valid
        parts = [
            self._trainer.predict(batch[0])
            for batch in self._valid.once(VALID_BATCH, varied=varied)
        ]
        probability = np.concatenate(parts)
        if not np.isfinite(probability).all():
            raise TrainingError(
                "the network gives scores that are not numbers; a lower --learning-rate may help"
            )
        return Scores.of(
            valid.fake, np.clip(probability, 0, 1), valid.video, person=valid.person,
            method=valid.method, group=list(valid.group), original=list(valid.original),
        )  # fmt: skip

    def _line(
        self,
        number: int,
        scores: Scores,
        loss: float,
        accuracy: float,
        rate: float,
        times: tuple[float, float],
    ) -> Epoch:
        videos = scores.per_video()
        p = np.clip(videos.probability, 1e-7, 1 - 1e-7)
        began, learned = times
        faces = self._sampler.steps * self._job.train.batch_size
        return Epoch(
            epoch=number + 1,
            learning_rate=rate,
            loss=loss,
            accuracy=accuracy,
            val_loss=float(-np.where(videos.fake, np.log(p), np.log1p(-p)).mean()),
            val_auc=auc(videos.fake, videos.probability),
            val_frame_auc=auc(scores.fake, scores.probability),
            seconds=time.perf_counter() - began,
            images_per_second=faces / (learned - began),
        )

    def _is_best(self) -> bool:
        values = [_monitored(line, self._job.train) for line in self._history]
        return values[-1] > max(values[:-1], default=(-math.inf, -math.inf))

    def _exhausted(self) -> bool:
        patience = self._job.train.patience
        return bool(patience and self._history and len(self._history) - self._best >= patience)

    def _save_models(self, better: bool) -> None:
        card = ModelCard(
            name=self._job.name,
            architecture=self._job.train.architecture,
            network=self._job.network,
            geometry=self._data.geometry,
        )
        for name in (LAST, BEST) if better else (LAST,):
            with whole(self._job.folder / name) as partial:
                save_keras(self._trainer.model, card, partial)

    def _restore(self) -> None:
        state = checkpoint.load(self._job.folder)
        if state is None:
            return
        self._trainer.restore(state.model, state.optimizer, state.average)
        self._history, self._best = list(state.history), state.best
        self._folder.write_history(self._history)
        self._reporter.say(f"going on after epoch {state.epoch} of {self._job.train.epochs}")

    def _draw_samples(self) -> None:
        """Draw what the network gets to see, as PNG.

        That is the first batches, and how their blended and partial fakes were made.
        """
        plan = self._sampler.epoch(0)
        shown: list[Pixels] = []
        for batch in plan[: -(-SHEET_ROWS * SHEET_COLUMNS // self._job.train.batch_size)]:
            shown += list(self._train.batch(batch))
        places = ((batch, int(place)) for batch in plan for place in np.flatnonzero(batch.made))
        blended = list(itertools.islice(places, BLENDED_ROWS))
        with writing(self._job.folder):
            grid = _grid(shown[: SHEET_ROWS * SHEET_COLUMNS])
            write_whole(self._job.folder / "samples.png", encode(grid))
            if blended:
                reals = [
                    int((batch.rows if batch.blend[place] else batch.other)[place])
                    for batch, place in blended
                ]
                crops = [self._train.reader[row] for row in reals]
                made = [self._train.blended(batch, place) for batch, place in blended]
                write_whole(self._job.folder / "self-blend.png", encode(blend_sheet(crops, made)))

    def _log(self, line: Epoch) -> None:
        if not self._job.train.tensorboard:
            return
        if self._logs is None:
            self._logs = tf.summary.create_file_writer(str(self._job.folder / "tensorboard"))
        with writing(self._job.folder), self._logs.as_default():
            for name in (
                "loss",
                "accuracy",
                "val_loss",
                "val_auc",
                "val_frame_auc",
                "learning_rate",
                "images_per_second",
            ):
                value = getattr(line, name)
                if value is not None:
                    tf.summary.scalar(name, value, step=line.epoch)
            self._logs.flush()


def _feed(samples: Samples, job: TrainJob, size: int, memory: float) -> Feed:
    return Feed(
        samples, CropReader(samples.path, size, memory), job.augment, size, job.train.workers
    )


def _initial_model(prepared: Prepared) -> keras.Model:
    """A fresh network, or one with the mean weights of the models to start from.

    The mean of several is that of Wortsman et al. 2022, arXiv 2203.05482.
    """
    job = prepared.job
    model = build(job.train.architecture, job.network, size=prepared.data.geometry.size)
    if prepared.starts:
        weights = [_starting_weights(model, start) for start in prepared.starts]
        model.set_weights([np.mean(arrays, axis=0) for arrays in zip(*weights, strict=True)])
    return model


def _starting_weights(model: keras.Model, start: Start) -> list[Any]:
    """The weights of a model of the same network, turned so that they give P(fake)."""
    fill(model, start.layers, start.card.name)
    if start.card.output == "real":
        last = next(layer for layer in reversed(model.layers) if layer.weights)
        last.set_weights([-array for array in last.get_weights()])
    return list(model.get_weights())


def _use_device(settings: TrainSettings) -> None:
    graphics = tf.config.list_physical_devices("GPU")
    if settings.device == "gpu" and not graphics:
        raise TrainingError(
            "--device gpu: TensorFlow finds no GPU here; leave it out to train on the processor"
        )
    if settings.device == "cpu":
        tf.config.set_visible_devices([], "GPU")


def _account(data: TrainingData) -> str:
    parts = [
        (
            f"{name} {len(samples)} crops of {len(set(samples.video))} videos "
            f"({int(samples.fake.sum())} fake)"
        )
        for name, samples in (("training:", data.train), ("validation:", data.valid))
    ]
    return "; ".join(parts)


def _monitored(line: Epoch, settings: TrainSettings) -> tuple[float, float]:
    """What is to be as large as possible.

    Few validation videos often give equal values; then the AUC over faces decides.

    Not their loss: it is calibrated afterwards, and got worse for epochs in which the order of
    scores still became better.
    """
    more = settings.monitor == "val_auc"
    value = getattr(line, settings.monitor)
    first = -math.inf if value is None else float(value) * (1 if more else -1)
    return first, -math.inf if line.val_frame_auc is None else line.val_frame_auc


def _sentence(line: Epoch, epochs: int, better: bool) -> str:
    video = "-" if line.val_auc is None else f"{line.val_auc:.4f}"
    return (
        f"epoch {line.epoch}/{epochs}  loss {line.loss:.4f}  accuracy {line.accuracy:.3f}"
        f"  validation: loss {line.val_loss:.4f}, video AUC {video}{' *' if better else ''}"
        f"  ({line.seconds:.0f} s, {line.images_per_second:.0f} images/s)"
    )


def _grid(crops: Sequence[Pixels], side: int = 128) -> Pixels:
    small = [resized(crop, side) for crop in crops]
    small += [np.zeros((side, side, 3), np.uint8)] * (-len(small) % SHEET_COLUMNS)
    rows = [
        np.hstack(small[row : row + SHEET_COLUMNS]) for row in range(0, len(small), SHEET_COLUMNS)
    ]
    return np.asarray(np.vstack(rows), np.uint8)
