"""Maps the tones and colours of HDR and wide-gamut pictures to an SDR display's, as players do.

Light is counted in units of SDR white, 203 cd/m2 in an HDR picture (ITU-R BT.2408). An SDR display
is one of BT.1886, with the primaries of BT.709. Transfer characteristics and primaries go by their
numbers in ITU-T H.273.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from mesovid.opencv import cv2
from mesovid.records import Pixels

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
DeepPixels = npt.NDArray[np.uint16]  # (height, width, 3) RGB, 16 bits a colour

SDR_WHITE = 203.0  # cd/m2
HLG_PEAK = 1000.0  # cd/m2 of the display for which BT.2100 defines HLG's system gamma of 1.2
SDR_GAMMA = 2.4
PQ, HLG, BT709, BT2020 = 16, 18, 1, 9
ROWS = 64  # mapped at once: they stay in the cache
STEPS = 4095  # of tables over the square root of light
PEAK_SHARE = 0.9995  # of the samples of a picture that are no brighter than what counts as its peak
PEAK_STEP = 4  # px between the samples

PRIMARIES: Mapping[int, tuple[tuple[float, float], ...]] = {
    # x, y of red, green, blue, white
    BT709: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),  # Display P3
}


def pq_light(signal: Doubles) -> Doubles:
    """Light of a signal; the EOTF of SMPTE ST 2084."""
    power = signal ** (32 / 2523)
    light: Doubles = np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
    return light ** (16384 / 2610) * 10_000 / SDR_WHITE


def pq_signal(light: Doubles) -> Doubles:
    """The inverse of `pq_light`."""
    power = (light * SDR_WHITE / 10_000) ** (2610 / 16384)
    signal: Doubles = (3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)
    return signal ** (2523 / 32)


def hlg_scene(signal: Doubles) -> Doubles:
    """Light of the scene, 0 to 1; the inverse OETF of ITU-R BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


TRANSFERS: Mapping[int, tuple[str, Callable[[Doubles], Doubles]]] = {
    # those that an SDR display does not show as they are: name, light of a signal
    8: ("linear light", lambda signal: signal),
    9: ("a logarithmic curve", lambda signal: np.where(signal > 0, 10 ** (2 * (signal - 1)), 0)),
    10: ("a logarithmic curve", lambda signal: np.where(signal > 0, 10 ** (2.5 * (signal - 1)), 0)),
    PQ: ("HDR (PQ)", pq_light),
    17: ("the curve of digital cinema", lambda signal: signal**2.6 * 52.37 / 48),
    HLG: ("HDR (HLG)", hlg_scene),
}


class ToneMap:
    """From pictures of one transfer characteristic and one set of primaries."""

    def __init__(self, transfer: int, primaries: int) -> None:
        if primaries not in PRIMARIES:
            primaries = BT2020 if transfer in (PQ, HLG) else BT709
        signal = np.arange(65536, dtype=np.float64) / 65535
        _, light = TRANSFERS.get(transfer, ("", lambda signal: signal**SDR_GAMMA))
        self._light = light(signal).astype(np.float32)
        self._luminance = _to_xyz(primaries)[1].astype(np.float32) if transfer == HLG else None
        self._to_bt709 = (np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(primaries)).astype(np.float32)
        steps = np.arange(STEPS + 1, dtype=np.float64) / STEPS
        self._code = np.rint(255 * (steps**2) ** (1 / SDR_GAMMA)).astype(np.uint8)

    def __call__(self, image: DeepPixels) -> Pixels:
        """The picture in SDR. How far its tones are pressed together depends on its own peak."""
        samples = self._linear(image[::PEAK_STEP, ::PEAK_STEP])
        peak = float(np.quantile(_strongest(samples), PEAK_SHARE))
        gain = None if peak <= 1 else tone_gain(peak)
        mapped = np.empty(image.shape, np.uint8)
        for top in range(0, len(image), ROWS):
            light = self._linear(image[top : top + ROWS])
            if gain is not None:
                strongest = np.sqrt(np.minimum(_strongest(light) / peak, 1))
                light *= gain[np.rint(STEPS * strongest).astype(np.uint16)][..., None]
            light = cv2.transform(light, self._to_bt709)
            step = np.rint(STEPS * np.sqrt(np.clip(light, 0, 1)))
            mapped[top : top + ROWS] = self._code[step.astype(np.uint16)]
        return mapped

    def _linear(self, image: DeepPixels) -> Floats:
        light: Floats = self._light[image]
        if (
            self._luminance is not None
        ):  # the system gamma: HLG holds light of the scene, not of the display
            luminance = np.maximum(light @ self._luminance, 1e-6)
            light *= (luminance**0.2 * np.float32(HLG_PEAK / SDR_WHITE))[..., None]
        return light


def _strongest(light: Floats) -> Floats:
    """Of the three colours, (height, width)."""
    strongest: Floats = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
    return strongest


def wanted(transfer: int, primaries: int) -> bool:
    """Whether an SDR display would show such pictures wrongly as they are."""
    return transfer in TRANSFERS or (primaries in PRIMARIES and primaries != BT709)


def tone_gain(peak: float) -> Floats:
    """The factors of a pixel's light, over `STEPS` equal steps.

    Steps are of the square root of its strongest colour over `peak`.

    The EETF of ITU-R BT.2390: in PQ, tones are left alone up to a knee, and from there bent such
    that `peak` becomes white.
    """
    light = np.maximum(np.arange(STEPS + 1, dtype=np.float64) / STEPS, 1e-4) ** 2 * peak
    top = float(pq_signal(np.array(peak)))
    signal, white = pq_signal(light) / top, float(pq_signal(np.array(1.0))) / top
    knee = 1.5 * white - 0.5
    t = np.clip((signal - knee) / (1 - knee), 0, 1)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * white
    )
    mapped = pq_light(np.where(signal < knee, signal, bent) * top)
    return (mapped / light).astype(np.float32)


def _to_xyz(primaries: int) -> Doubles:
    """The matrix from linear RGB to CIE XYZ, white as D65.

    Another white is adapted to it by Bradford's transform.
    """
    *corners, white = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in PRIMARIES[primaries])
    colours = np.stack(corners, axis=1)
    matrix = colours * np.linalg.solve(colours, white)
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d65 = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    scale = np.diag((bradford @ d65) / (bradford @ white))
    adapted: Doubles = np.linalg.inv(bradford) @ scale @ bradford @ matrix
    return adapted
