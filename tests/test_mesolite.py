"""The head of MesoLite. Its trunk and its export are tested as those of the other networks are."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mesovid.models.architectures import build


def test_the_head_sees_what_a_part_of_the_face_has_that_the_crop_has_not() -> None:
    model = build("mesolite")
    trunk_end = model.get_layer("whole").input
    contrasts = keras.Model(trunk_end, model.get_layer("contrasts").output)
    rows, columns, channels = trunk_end.shape[1:]
    level = np.random.default_rng(0).random((1, 1, 1, channels), np.float32)
    maps = np.repeat(np.repeat(level, rows, axis=1), columns, axis=2)
    # the same everywhere, whatever its level
    np.testing.assert_allclose(contrasts(maps), 0, atol=1e-6)
    maps[:, 10, 5:9] += 1  # at the mouth
    eyes, nose, mouth = np.split(np.asarray(contrasts(maps)), 3, axis=1)
    assert (mouth > 0).all()
    assert (eyes < 0).all()
    np.testing.assert_allclose(eyes, nose, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "prefixes", "size"),
    [("mesolite", ("",), size) for size in (32, 64, 100, 256)]
    + [("mesolite2", ("fine_", "coarse_"), size) for size in (64, 200, 256)],
)
def test_no_part_of_a_face_is_empty(
    architecture: str, prefixes: tuple[str, ...], size: int
) -> None:
    model = build(architecture, size=size)
    shapes = {
        f"{prefix}{part}": model.get_layer(f"{prefix}{part}_crop").output.shape[1:3]
        for prefix in prefixes
        for part in ("eyes", "nose", "mouth")
    }
    assert all(rows > 0 and columns > 0 for rows, columns in shapes.values()), shapes
