"""HDR and wide-gamut video looks as it would on an SDR display."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from mesovid.settings import SampleSettings
from mesovid.tones import STEPS, ToneMap, hlg_scene, pq_light, pq_signal, tone_gain
from mesovid.video import sample

PATCHES = np.array(
    [
        [[0, 0, 0], [40, 40, 40], [200, 150, 120], [255, 255, 255]],
        [[90, 60, 45], [250, 220, 200], [30, 90, 40], [60, 60, 160]],
    ],
    np.uint8,
)  # skin and the like
BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)  # BT.2087
BT709_TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


def light_of(patches: np.ndarray) -> np.ndarray:
    return (patches / 255.0) ** 2.4


def hlg_signal(light: np.ndarray) -> np.ndarray:
    """Of light in units of 203 cd/m2, on a display of 1000 cd/m2; BT.2100."""
    shown = light * 203 / 1000
    luminance = np.maximum(shown @ [0.2627, 0.6780, 0.0593], 1e-9)[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    )


CURVES = {
    # number of the transfer characteristic and of the primaries, and the signal of linear BT.709
    # light
    "pq": (16, 9, lambda light: pq_signal(light @ BT709_TO_BT2020.T)),
    "pq of unknown primaries": (16, 2, lambda light: pq_signal(light @ BT709_TO_BT2020.T)),
    "hlg": (18, 9, lambda light: hlg_signal(light @ BT709_TO_BT2020.T)),
    "linear": (8, 1, lambda light: light),
    "log": (9, 1, lambda light: 1 + np.log10(np.maximum(light, 0.01)) / 2),
    "sqrt log": (10, 1, lambda light: 1 + np.log10(np.maximum(light, 0.00316)) / 2.5),
    "digital cinema": (17, 1, lambda light: (light * 48 / 52.37) ** (1 / 2.6)),
    "sdr in bt2020": (14, 9, lambda light: (light @ BT709_TO_BT2020.T) ** (1 / 2.4)),
    "display p3": (1, 12, lambda light: (light @ BT709_TO_P3.T) ** (1 / 2.4)),
}


def clip(
    path: Path, signal: np.ndarray, transfer: int, primaries: int, *, pixels: str = "yuv420p10le"
) -> Path:
    """HEVC without loss; each value of the signal becomes 32x32 px."""
    deep = np.rint(np.clip(np.kron(signal, np.ones((32, 32, 1))), 0, 1) * 65535).astype(np.uint16)
    matrix = 9 if primaries in (2, 9) else 1
    with av.open(str(path), "w") as output:
        stream = output.add_stream(
            "libx265", rate=25, options={"x265-params": "lossless=1:log-level=none"}
        )
        stream.height, stream.width, stream.pix_fmt = *deep.shape[:2], pixels
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
            transfer,
            primaries,
            matrix,
            1,
        )
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(deep), format="rgb48le")
            frame = frame.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=1)
            frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = (
                transfer,
                primaries,
                matrix,
                1,
            )
            frame.pts, frame.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def shown(path: Path) -> tuple[np.ndarray, list[str]]:
    """The values of the patches in the middle frame, and warnings."""
    with sample(path, SampleSettings(frames=1)) as sampling:
        (frame,) = sampling
    return frame.image[16::32, 16::32].astype(int), sampling.warnings


@pytest.mark.parametrize("name", CURVES)
def test_what_was_sdr_comes_out_as_it_was(tmp_path: Path, name: str) -> None:
    transfer, primaries, curve = CURVES[name]
    patches = PATCHES
    if "log" in name:  # which holds no black
        patches = np.maximum(PATCHES, 45)
    values, warnings = shown(
        clip(tmp_path / "hdr.mp4", curve(light_of(patches)), transfer, primaries)
    )
    tolerance = (
        8 if name in ("linear",) else 3
    )  # 10 bits of linear light leave few steps in the dark
    np.testing.assert_allclose(
        values[patches.min(axis=2) >= 40], patches[patches.min(axis=2) >= 40], atol=tolerance
    )
    if name in ("sdr in bt2020", "display p3"):
        assert not warnings
    else:
        (warning,) = warnings
        assert warning.endswith("its tones are mapped to SDR, as players do")


def test_what_the_stream_does_not_say_the_container_does(tmp_path: Path) -> None:
    said = clip(tmp_path / "said.mp4", pq_signal(light_of(PATCHES) @ BT709_TO_BT2020.T), 16, 9)
    silent = "hevc_metadata=transfer_characteristics=2:colour_primaries=2:matrix_coefficients=2"
    with av.open(str(said)) as source, av.open(str(tmp_path / "silent.mkv"), "w") as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        changed = BitStreamFilterContext(silent, stream, copy)
        for packet in source.demux(stream):
            for new in changed.filter(packet if packet.size else None):
                new.stream = copy
                output.mux(new)
    with av.open(str(tmp_path / "silent.mkv")) as check:
        assert next(check.decode(video=0)).color_trc == 2
    values, warnings = shown(tmp_path / "silent.mkv")
    np.testing.assert_allclose(values, PATCHES, atol=3)
    assert warnings


def test_ordinary_video_is_left_alone(tmp_path: Path) -> None:
    values, warnings = shown(clip(tmp_path / "sdr.mp4", PATCHES / 255, 1, 1, pixels="yuv420p"))
    np.testing.assert_allclose(values, PATCHES, atol=3)
    assert not warnings


def test_highlights_are_bent_not_cut_and_skin_keeps_its_tone(tmp_path: Path) -> None:
    light = (
        np.array([10, 50, 100, 203, 400, 700, 999, 1000.0]).reshape(2, 4, 1).repeat(3, axis=2) / 203
    )
    values, _ = shown(clip(tmp_path / "bright.mp4", pq_signal(light), 16, 9))
    tones = values[..., 1].ravel().tolist()
    assert tones == sorted(tones)
    assert tones[3] < tones[4] < tones[5] <= 255
    np.testing.assert_allclose(tones[:2], [72, 142], atol=2)  # 255 * (10 / 203) ** (1 / 2.4)
    assert tones[-1] >= 254


def test_a_pixel_keeps_its_hue_when_it_is_dimmed() -> None:
    light = np.array([[[4.0, 2.0, 1.0]]])
    deep = np.rint(pq_signal(light) * 65535).astype(np.uint16)
    (((red, green, blue),),) = ToneMap(16, 1)(deep.repeat(8, 0).repeat(8, 1))[:1, :1].astype(float)
    assert red >= 254
    assert (green / red) ** 2.4 == pytest.approx(0.5, abs=0.02)
    assert (blue / red) ** 2.4 == pytest.approx(0.25, abs=0.02)


def test_the_curves_meet_published_values() -> None:
    # ST 2084: 100 cd/m2 is 0.508, 1000 is 0.752; BT.2408: HLG of 0.75 is 203 cd/m2 on a display of
    # 1000
    np.testing.assert_allclose(
        pq_signal(np.array([100, 1000, 10_000]) / 203), [0.508, 0.752, 1], atol=1e-3
    )
    np.testing.assert_allclose(
        pq_light(pq_signal(np.array([0.0, 0.1, 1, 5, 49]))), [0, 0.1, 1, 5, 49], atol=1e-6
    )
    assert 1000 * hlg_scene(np.array([0.75]))[0] ** 1.2 == pytest.approx(203, abs=1)
    assert hlg_scene(np.array([1.0]))[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("peak", [1.01, 2, 4.9, 20, 49])
def test_the_tone_curve_rises_to_white(peak: float) -> None:
    light = (np.arange(STEPS + 1) / STEPS) ** 2 * peak
    mapped = light * tone_gain(peak)
    assert np.all(np.diff(mapped[1:]) > -1e-6)
    assert mapped[-1] == pytest.approx(1, abs=1e-3)
    assert np.all(mapped <= light + 1e-6)
