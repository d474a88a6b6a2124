"""Which networks exist: their names, and where each one's graph is built.

To add one, write its builder in a file of its own and name it here. A builder takes a
`NetworkSettings` and the side of its input, and gives a Keras graph from raw RGB 0..255 `(n, size,
size, 3)` to P(fake) `(n, 1)` that scales its input itself and ends in a Dense layer of one unit
without activation followed by a sigmoid Activation layer (training works on the logit).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from mesovid.backend import import_tensorflow
from mesovid.errors import ModelError
from mesovid.settings import FACE_SIZE, NetworkSettings

if TYPE_CHECKING:
    import keras

    Builder = Callable[[NetworkSettings, int], keras.Model]

# architecture -> "module:function"; imported when it is built, because the module imports
# TensorFlow
BUILDERS = {
    "meso4": "mesovid.models.meso:meso4",
    "mesoinception4": "mesovid.models.meso:mesoinception4",
    "mesolite": "mesovid.models.mesolite:mesolite",
}


def build(
    architecture: str, settings: NetworkSettings | None = None, *, size: int = FACE_SIZE
) -> keras.Model:
    """The untrained graph of an architecture.

    ModelError for an unknown name or an impossible size.
    """
    check_architecture(architecture)
    import_tensorflow()
    module, function = BUILDERS[architecture].split(":")
    builder = cast("Builder", getattr(importlib.import_module(module), function))
    return builder(settings or NetworkSettings(), size)


def check_architecture(architecture: str) -> None:
    """Raise ModelError unless `architecture` is known."""
    if architecture not in BUILDERS:
        raise ModelError(f"no architecture {architecture!r}; known: {', '.join(BUILDERS)}")
