"""Imports TensorFlow without its chatter.

Everything in mesovid that needs TensorFlow or Keras comes through here first.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, silently unless that fails.

    Later plain imports of them cost nothing.

    TensorFlow 2.21 writes to the stderr of the process before it reads its own log level, so the
    file descriptor itself has to be turned away for that time; what it wrote is shown when the
    import fails. oneDNN stays on, although it is one of the things that chatter: without it Meso-4
    trains at a quarter of the speed (15 against 66 images a second on two cores).
    """
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _stderr_held_back():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for GPUs, and says so at once instead of later


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
