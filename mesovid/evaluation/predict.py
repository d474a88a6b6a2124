"""Scores faces that are already cropped, file by file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sklearn import metrics as sk

from mesovid.dataset.labels import FAKE, REAL, label_of
from mesovid.dataset.manifest import CARD, read_card
from mesovid.dataset.sources import media_files
from mesovid.errors import InputError, SettingsError
from mesovid.evaluation.evaluate import classify, geometry_differences, read_crop
from mesovid.media import PICTURE_SUFFIXES
from mesovid.models.classifier import Classifier
from mesovid.records import Label
from mesovid.settings import Geometry
from mesovid.verdict import Rule
from mesovid.verdict import label_of as judged


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one file; of a file that cannot be used, why."""

    path: str
    label: Label | None
    fake_probability: float | None
    truth: str | None = None  # real or fake, where a folder's name says so
    resized: bool = False  # was not of the model's input size
    error: str | None = None


def find_faces(inputs: Sequence[str], classifier: Classifier) -> list[tuple[Path, str | None]]:
    """Every picture named or in a named folder, with the label that the folder nearest to it means, if any.

    InputError for a path that does not exist, for a folder without pictures, and for a dataset whose faces were cut otherwise
    than the model wants.
    """
    found: list[tuple[Path, str | None]] = []
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            _check_geometry(path, classifier)
            files = [path / file for file in media_files(path, PICTURE_SUFFIXES)]
            if not files:
                raise InputError(f"{path} holds no picture")
            found += [(file, _truth(file, path)) for file in files]
        elif path.exists():
            found.append((path, _truth(path, path.parent)))
        else:
            raise InputError(f"no file or folder {path}")
    return found


def predict(
    faces: Iterable[tuple[Path, str | None]], classifier: Classifier, batch_size: int = 64
) -> Iterator[Prediction]:
    """Judge each face by itself, in order. A file that cannot be read gives a Prediction with its error."""
    card = classifier.card
    rule = Rule(card.threshold, card.uncertain)
    with ThreadPoolExecutor() as pool:
        for batch in _batches(faces, batch_size):
            images = list(pool.map(lambda face: read_crop(face[0]), batch))
            scores = iter(
                classify(classifier, [i for i in images if not isinstance(i, str)], False, batch_size)
            )
            for (path, truth), image in zip(batch, images, strict=True):
                if isinstance(image, str):
                    yield Prediction(str(path), None, None, truth, error=image)
                    continue
                probability = float(next(scores))
                resized = image.shape[0] != card.geometry.size or image.shape[1] != card.geometry.size
                yield Prediction(str(path), judged(probability, rule)[0], probability, truth, resized)


def report(predictions: Sequence[Prediction], threshold: float) -> str | None:
    """scikit-learn's classification report at `threshold`; None unless folders named both real and fake faces."""
    known = [p for p in predictions if p.truth is not None and p.fake_probability is not None]
    truth = [p.truth for p in known]
    if len(set(truth)) < 2:
        return None
    called = [FAKE if (p.fake_probability or 0.0) >= threshold else REAL for p in known]
    text = sk.classification_report(truth, called, labels=[REAL, FAKE], digits=3, zero_division=0)
    area = sk.roc_auc_score([t == FAKE for t in truth], [p.fake_probability for p in known])
    return f"{text.rstrip()}\n\n{'AUC':>12}{area:43.3f}"


def _truth(file: Path, root: Path) -> str | None:
    """By the nearest folder whose name means a label, from the file up to and including `root`."""
    for folder in [folder for folder in file.parents if folder == root or root in folder.parents]:
        if label := label_of(folder.name):
            return label
    return None


def _check_geometry(folder: Path, classifier: Classifier) -> None:
    """Looks at the dataset that a folder is, or lies in."""
    for place in (folder, *folder.resolve().parents):
        if not (place / CARD).is_file():
            continue
        try:
            geometry = Geometry.from_dict(read_card(place).get("geometry") or {})
        except (SettingsError, TypeError) as error:
            raise InputError(f"{place / CARD}: geometry: {error}") from error
        if read_card(place).get("geometry") and (differ := geometry_differences(geometry, classifier)):
            raise InputError(f"the faces of {folder} do not fit {classifier.card.name}: {differ}")
        return


def _batches(faces: Iterable[tuple[Path, str | None]], size: int) -> Iterator[list[tuple[Path, str | None]]]:
    batch: list[tuple[Path, str | None]] = []
    for face in faces:
        batch.append(face)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
