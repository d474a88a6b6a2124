"""What class names mean. An explicit table, never the alphabet: `df` sorts before `real`, `fake`
too, `original` does not."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping

from mesovid.errors import DatasetError
from mesovid.names import shown

REAL, FAKE = "real", "fake"
SKIP = "skip"  # given by hand alone: what is called so is left out
# key of a table of labels given by hand: the label of all files, whatever their folder
EVERYTHING = ""

# fmt: off names as `plain` leaves them: lower case, words joined by one underscore, without a
# leading class number
REAL_NAMES = frozenset(
    {
        "real",
        "reals",
        "original",
        "originals",
        "pristine",
        "genuine",
        "authentic",
        "bonafide",
        "bona_fide",
        "live",
        "unaltered",
        "untouched",
        "true_face",
        "real_face",
        "real_faces",
        "real_image",
        "real_images",
        "real_video",
        "real_videos",
        "original_sequences",
        "original_videos",
        "celeb_real",
        "youtube_real",
        "training_real",
    }
)
FAKE_NAMES = frozenset(
    {
        "fake",
        "fakes",
        "df",
        "deepfake",
        "deep_fake",
        "deep_fakes",
        "forged",
        "forgery",
        "forgeries",
        "manipulated",
        "manipulation",
        "tampered",
        "synthetic",
        "synthesized",
        "synthesised",
        "synthesis",
        "swapped",
        "face_swap",
        "face_swaps",
        "generated",
        "altered",
        "fake_face",
        "fake_faces",
        "fake_image",
        "fake_images",
        "fake_video",
        "fake_videos",
        "manipulated_sequences",
        "manipulated_videos",
        "training_fake",
    }
)
# fmt: on
# manipulations that serve as class names of their own; the value is the method's usual spelling
METHODS: Mapping[str, str] = {
    "deepfakes": "Deepfakes",
    "face2face": "Face2Face",
    "f2f": "Face2Face",
    "faceswap": "FaceSwap",
    "neuraltextures": "NeuralTextures",
    "neural_textures": "NeuralTextures",
    "nt": "NeuralTextures",
    "faceshifter": "FaceShifter",
    "deepfakedetection": "DeepFakeDetection",
    "dfd": "DeepFakeDetection",
    "celeb_synthesis": "Celeb-synthesis",
}
SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
    "testing": "test",
    "dev": "dev",
}


def label_of(name: object, extra: Mapping[str, str] | None = None) -> str | None:
    """The label, `real` or `fake`, that a class name means; None when nobody can tell.

    `extra` maps further names to labels, or to `skip`, and wins over the table. A bare 0 or 1 means
    nothing: Celeb-DF writes 1 for real, DFDC writes 1 for fake.
    """
    for known, label in (extra or {}).items():
        if known and is_called(name, known):
            return label
    word = plain(name)
    if word in REAL_NAMES:
        return REAL
    if word in FAKE_NAMES or word in METHODS:
        return FAKE
    return None


def is_called(name: object, given: str) -> bool:
    """Whether a folder or class has the name that is given by hand: `real` is also called `0_real`,
    but never `1_real` so."""
    return _words(given) in (_words(name), plain(name))


def method_of(name: object) -> str | None:
    """The manipulation that a class name stands for, in its usual spelling; None for a plain
    `fake`."""
    return METHODS.get(plain(name))


def split_of(name: object) -> str | None:
    """The split that a folder name or field means, `val` and `validation` being `valid`; None for
    other names."""
    return SPLITS.get(str(name).strip().lower())


@functools.lru_cache(maxsize=1 << 16)
def plain(name: object) -> str:
    """`name` in lower case, words joined by one underscore, without a class number in front:
    `0_real`, `1-Fake`."""
    return re.sub(r"^[01]_(?=\D)", "", _words(name))


@functools.lru_cache(maxsize=1 << 16)  # collections have many folders of few names
def _words(name: object) -> str:
    return re.sub(r"[\s_\-]+", "_", str(name).strip().lower()).strip("_")


def hint(name: str, *, leave_out: bool = False) -> str:
    """What to say on the command line of a name whose label nobody can tell."""
    given = shlex.quote(name)
    if (
        shown(name) != name
    ):  # as shells write characters that cannot be shown, or bytes that are none
        given = "$'" + shown(name.replace("\\", "\\\\").replace("'", "\\'")) + "'"
    leaving_out = " (=skip leaves it out)" if leave_out else ""
    return f"--label {given}=real or --label {given}=fake{leaving_out}"


def parse_labels(texts: tuple[str, ...]) -> dict[str, str]:
    """`--label` values as a table: `NAME=real|fake|skip` for a class name, plain `real` or `fake`
    (key "") for everything.

    Raises DatasetError for another label, and for two labels of one name.
    """
    table: dict[str, str] = {}
    for text in texts:
        name, _, label = text.rpartition("=")
        if label not in ((REAL, FAKE, SKIP) if name else (REAL, FAKE)):
            raise DatasetError(
                f"label {text!r} is unknown; write real, fake, or NAME=real, NAME=fake or NAME=skip"
            )
        if table.setdefault(name, label) != label:
            raise DatasetError(
                f"--label gives {name or 'everything'} two labels, {table[name]} and {label}"
            )
    return table
