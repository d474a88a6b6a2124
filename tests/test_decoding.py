"""Damage never ends the process, whatever it hits, and what can be decoded is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from mesovid.settings import SampleSettings
from mesovid.video import sample

FUZZ = Path(__file__).parent / "fuzz" / "mutate_videos.py"
sys.path.insert(0, str(FUZZ.parent))

import mutate_videos  # noqa: E402


@pytest.mark.parametrize(
    "name", ["vp8.webm", "vp9.webm", "vp9.mp4", "av1.mkv", "h264.mp4", "hevc.mp4", "ffv1.mkv"]
)
@pytest.mark.parametrize("damage", ["zeros", "noise", "header"])
def test_a_first_packet_that_cannot_be_decoded_costs_its_group_only(
    tmp_path: Path, name: str, damage: str
) -> None:
    """A decoder with threads that has failed must not be flushed: VP9's then ended the process."""
    mutate_videos.make_clips(tmp_path, [name])
    path = tmp_path / name
    places = mutate_videos.packets(path)
    start, size, _ = places[0]
    second = second_key_frame(path)
    content = bytearray(path.read_bytes())
    if damage == "header":  # of VP9 the width
        content[start + 6] ^= 1
    else:
        content[start : start + size] = (
            bytes(size) if damage == "zeros" else np.random.default_rng(1).bytes(size)
        )
    path.write_bytes(content)
    with sample(path, SampleSettings(frames=100)) as sampling:
        indices = [frame.index for frame in sampling]
    assert indices[-(mutate_videos.FRAMES - second) :] == list(range(second, mutate_videos.FRAMES))
    if damage != "header":
        assert len(indices) < mutate_videos.FRAMES
        assert any("damaged" in warning for warning in sampling.warnings)


def second_key_frame(path: Path) -> int:
    with av.open(str(path)) as container:
        shown = [
            (packet.pts, packet.is_keyframe) for packet in container.demux(video=0) if packet.size
        ]
    return [index for index, (_, key) in enumerate(sorted(shown)) if key][1]


def test_mutated_videos_never_end_the_process() -> None:
    """The beginning of the long run: `python tests/fuzz/mutate_videos.py --count 2000 --seed 1`."""
    done = subprocess.run(
        [sys.executable, FUZZ, "--count", "200", "--seed", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert len(done.stdout.splitlines()) == 200
    assert "; 0 ended the process" in done.stderr


def test_a_stream_that_comes_up_through_damage_is_no_error(tmp_path: Path) -> None:
    """A flipped bit in the number of a transport stream's packet announces another stream."""
    mutate_videos.make_clips(tmp_path, ["h264.ts"])
    path = tmp_path / "h264.ts"
    content = bytearray(path.read_bytes())
    video = [at for at in range(0, len(content), 188) if content[at + 1 : at + 3] == b"\x41\x00"]
    content[video[-1] + 2] ^= 0x20
    path.write_bytes(content)
    with sample(path, SampleSettings(frames=100)) as sampling:
        assert len(list(sampling)) >= mutate_videos.FRAMES - 2


@pytest.mark.parametrize("matrix", range(19))
def test_any_colour_matrix_gives_pictures(tmp_path: Path, matrix: int) -> None:
    """Reserved numbers and rare ones come of damage, but also of screen recorders."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream(
            "libx264", rate=25, options={"x264-params": f"colormatrix={matrix}:log-level=none"}
        )
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = matrix
        output.mux(
            stream.encode(
                av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
            )
        )
        output.mux(stream.encode(None))
    with sample(path, SampleSettings()) as sampling:
        (frame,) = sampling
    assert abs(int(frame.image[32, 32].mean()) - 128) < 8
