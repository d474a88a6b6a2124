"""Real small inputs, shared by the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from signing import sign as sign

# how long an example takes says more of the machine than of the code
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def no_real_time() -> Iterator[None]:
    """No test puts its process ahead of all others, as some encoders do: a browser that is started
    from there starves the processes that it waits for."""
    yield
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) not in (os.SCHED_FIFO, os.SCHED_RR)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The research data beside the checkout.

    Tests skip where it is absent (MESOVID_DATA names another place).
    """
    folder = Path(os.environ.get("MESOVID_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no research data at {folder}")
    return folder


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A public-domain portrait, uint8 (512, 512, 3) RGB, with exactly one face."""
    import skimage.data

    image: np.ndarray = skimage.data.astronaut()
    image.setflags(write=False)
    return image
