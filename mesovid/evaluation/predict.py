"""Scores faces that are already cropped, file by file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sklearn import metrics as sk

from mesovid.dataset.classes import Classes
from mesovid.dataset.labels import EVERYTHING, FAKE, REAL, SKIP, hint, is_called, label_of
from mesovid.dataset.manifest import CARD, read_description
from mesovid.dataset.sources import Options, Problem, in_one_line, refuse_unused
from mesovid.errors import InputError, SettingsError, without_path
from mesovid.evaluation.evaluate import classify, geometry_differences
from mesovid.folders import walk
from mesovid.media import PICTURE_SUFFIXES
from mesovid.models.classifier import Classifier
from mesovid.pictures import read_crop
from mesovid.records import Label, Pixels
from mesovid.settings import Geometry, PredictSettings
from mesovid.verdict import Rule, label_at


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one file; of a file that cannot be used, why."""

    path: str
    label: Label | None
    fake_probability: float | None
    truth: str | None = None  # real or fake, where a folder's name says so
    resized: bool = False  # was not of the model's input size
    error: str | None = None


def find_faces(
    inputs: Sequence[str], classifier: Classifier, options: Options | None = None
) -> tuple[list[tuple[Path, str | None]], tuple[Problem, ...]]:
    """Every picture named or in a named folder, with the label that its folders mean, if any.

    The second value tells of folders of unknown label beside others whose label is known, and of
    what could not be looked into. InputError for a path that does not exist, for a folder without
    pictures, and for a dataset whose faces were cut otherwise than the model wants; DatasetError
    for folders that contradict each other, and for a label that nothing has.
    """
    options = options or Options()
    found: list[tuple[Path, str | None]] = []
    problems: list[Problem] = []
    used: set[str] = set()
    for name in inputs:
        path = Path(name)
        if os.path.isdir(path):
            own = _check_geometry(path, classifier)
            files = list(
                walk(
                    path,
                    PICTURE_SUFFIXES,
                    follow_links=options.follow_links,
                    on_skip=lambda path, why: problems.append(Problem(path, why)),
                )
            )
            if not files:
                raise InputError(
                    f"{path} holds no picture" + (f" ({in_one_line(problems)})" if problems else "")
                )
            found += (
                [(path / file, _of_dataset(path / file, own)) for file in files]
                if own is not None
                else _by_folders(path, files, options, problems, used)
            )
        elif os.path.exists(path):
            label = _by_name(path.absolute().parent, options, used)
            found += [(path, label)] if label != SKIP else []
        else:
            raise InputError(f"no file or folder {path}")
    refuse_unused(options, [frozenset(used)])
    return found, tuple(problems)


def _by_folders(
    root: Path, files: Sequence[str], options: Options, problems: list[Problem], used: set[str]
) -> list[tuple[Path, str | None]]:
    """The pictures of a folder with their labels.

    Labels are those of its class folders or, where it holds none, its own.
    """
    places = {file: tuple(file.split("/")[:-1]) for file in files}
    classes = Classes.of(root, places.values(), options.labels)
    folders = {file: classes.at(place) for file, place in places.items()}
    used |= classes.used
    if not any(folder.label for folder in folders.values()):
        label = _by_name(Path(os.path.abspath(root)), options, used)
        return [(root / file, label) for file in files if label != SKIP]
    unknown = Counter(folder.folder for folder in folders.values() if folder.label is None)
    for folder, count in sorted(unknown.items()):
        why = f"{count} {'face' if count == 1 else 'faces'} of unknown label, in no report"
        name = "/".join(folder)
        problems.append(Problem(f"{root}: {name}", f"{why}; say {hint(name, leave_out=True)}"))
    return [(root / file, folder.label) for file, folder in folders.items() if folder.label != SKIP]


def predict(
    faces: Iterable[tuple[Path, str | None]],
    classifier: Classifier,
    settings: PredictSettings | None = None,
) -> Iterator[Prediction]:
    """Judge each face by itself, in order.

    A file that cannot be read gives a Prediction with its error.
    """
    settings = settings or PredictSettings()
    card = classifier.card
    rule, batch_size = Rule.of(card, settings.threshold), settings.batch_size
    with ThreadPoolExecutor() as pool:
        for batch in _batches(faces, batch_size):
            pending = [pool.submit(read_crop, path) for path, _ in batch]
            errors: dict[int, str] = {}
            images: dict[int, Pixels] = {}
            for i, ((path, _), pixels) in enumerate(zip(batch, pending, strict=True)):
                try:
                    images[i] = pixels.result()
                except InputError as error:
                    errors[i] = without_path(error, path)
            scores = classify(classifier, list(images.values()), batch_size)
            found = dict(zip(images, scores, strict=True))
            for i, (path, truth) in enumerate(batch):
                if i in errors:
                    yield Prediction(str(path), None, None, truth, error=errors[i])
                    continue
                probability, *members = map(float, found[i])
                label = label_at(probability, rule, members)[0]
                resized = images[i].shape[:2] != (card.geometry.size, card.geometry.size)
                yield Prediction(str(path), label, probability, truth, resized)


def report(predictions: Sequence[Prediction], threshold: float) -> str | None:
    """scikit-learn's classification report at `threshold`.

    None unless folders named both real and fake faces.
    """
    known = [p for p in predictions if p.truth is not None and p.fake_probability is not None]
    truth = [p.truth for p in known]
    if len(set(truth)) < 2:
        return None
    called = [FAKE if (p.fake_probability or 0.0) >= threshold else REAL for p in known]
    text = sk.classification_report(truth, called, labels=[REAL, FAKE], digits=3, zero_division=0)
    area = sk.roc_auc_score([t == FAKE for t in truth], [p.fake_probability for p in known])
    return f"{text.rstrip()}\n\n{'AUC':>12}{area:43.3f}"


def _by_name(folder: Path, options: Options, used: set[str]) -> str | None:
    """The label that a folder's own name means, or that everything is to have."""
    if EVERYTHING in options.labels:
        used.add(EVERYTHING)
        return options.labels[EVERYTHING]
    used |= {given for given in options.labels if is_called(folder.name, given)}
    return label_of(folder.name, options.labels)


def _of_dataset(file: Path, dataset: Path) -> str | None:
    """The label of a crop in a dataset made by mesovid: the first folder's that means one."""
    names = file.resolve().relative_to(dataset).parts[:-1]
    return next((label for name in names if (label := label_of(name))), None)


def _check_geometry(folder: Path, classifier: Classifier) -> Path | None:
    """The dataset that a folder is, or lies in, if any. InputError when its faces do not fit."""
    for place in (folder.resolve(), *folder.resolve().parents):
        if not (place / CARD).is_file():
            continue
        try:
            geometry = Geometry.from_dict(read_description(place).get("geometry") or {})
        except (SettingsError, TypeError) as error:
            raise InputError(f"{place / CARD}: geometry: {error}") from error
        if read_description(place).get("geometry") and (
            differ := geometry_differences(geometry, classifier.card)
        ):
            raise InputError(f"the faces of {folder} do not fit {classifier.card.name}: {differ}")
        return place
    return None


def _batches(
    faces: Iterable[tuple[Path, str | None]], size: int
) -> Iterator[list[tuple[Path, str | None]]]:
    batch: list[tuple[Path, str | None]] = []
    for face in faces:
        batch.append(face)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
