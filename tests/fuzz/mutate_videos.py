"""Reads thousands of damaged videos in one process.

Each must end in frames or in one clear line, never in a signal.

    python tests/fuzz/mutate_videos.py --count 2000 --seed 1

Mutant n of a seed is always the same file. They are read in a child process, one after the other;
where that dies, its parent keeps the file that killed it, says so and goes on with the next one in
a new child. The exit status is 1 if one has died, or gave neither a frame nor an error.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder says nothing

from mesovid.errors import MesovidError
from mesovid.settings import SampleSettings
from mesovid.video import sample

FRAMES = 24  # of each clip
SIZE = 64  # px
QUIET = {
    "libx265": {"x265-params": "log-level=none"},
    "libx264": {"x264-params": "log-level=none"},
    "libsvtav1": {"svtav1-params": "tile-columns=0", "preset": "12"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
CLIPS = {
    # name of the file: encoder, pixel format
    "vp8.webm": ("libvpx", "yuv420p"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "vp9.mp4": ("libvpx-vp9", "yuv420p"),
    "av1.mkv": ("libsvtav1", "yuv420p"),
    "av1.mp4": ("libsvtav1", "yuv420p"),
    "h264.mp4": ("libx264", "yuv420p"),
    "h264.ts": ("libx264", "yuv420p"),
    "h264.mkv": ("libx264", "yuv420p"),
    "hevc.mp4": ("libx265", "yuv420p"),
    "hevc.ts": ("libx265", "yuv420p"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "mpeg2.ts": ("mpeg2video", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "prores.mov": ("prores_ks", "yuv422p10le"),
    "dnxhd.mov": ("dnxhd", "yuv422p"),
    "png.mov": ("png", "rgb24"),
    "ffv1.mkv": ("ffv1", "yuv420p"),
    "wmv2.wmv": ("wmv2", "yuv420p"),
    "flv1.flv": ("flv", "yuv420p"),
    "gif.gif": ("gif", "rgb8"),
    "interlaced.mp4": ("libx264", "yuv420p"),
    "pq.mp4": ("libx265", "yuv420p10le"),
}
OPTIONS = {
    "dnxhd.mov": {"profile": "dnxhr_sq"},
    "interlaced.mp4": {"x264-params": "log-level=none:tff=1"},
}
PQ, BT2020 = 16, 9
SAMPLINGS = (
    SampleSettings(),
    SampleSettings(frames=3),
    SampleSettings(every=1),
    SampleSettings(every=5, start=0.3),
)


def main() -> int:
    """Read the mutants that the command line asks for; 1 where one ended the process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--clips", nargs="*", choices=list(CLIPS), help="of these only")
    parser.add_argument("--keep", type=Path, help="folder for the files that end the process")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        read_mutants(given.child, given.seed, range(given.first, given.count))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return supervise(Path(folder), given)


def supervise(folder: Path, given: argparse.Namespace) -> int:
    """Make the clips, let child processes read their mutants, print a line for each, and count."""
    make_clips(folder, given.clips or list(CLIPS))
    first, deaths, outcomes = given.first, 0, Counter[str]()
    while first < given.count:
        command = [sys.executable, __file__, "--child", str(folder), "--seed", str(given.seed)]
        command += ["--first", str(first), "--count", str(given.count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            for line in child.stdout:
                print(line, end="", flush=True)
                outcomes[json.loads(line)["outcome"]] += 1
                first += 1
        if child.returncode:
            deaths += 1
            name = (
                signal.Signals(-child.returncode).name if child.returncode < 0 else child.returncode
            )
            kept = (given.keep or folder) / f"{given.seed}-{first}{mutant_file(folder).suffix}"
            if given.keep:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(mutant_file(folder).read_bytes())
            print(
                json.dumps(
                    {"mutant": first, "outcome": "died", "how": str(name), "file": kept.name}
                )
            )
            first += 1
    total = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(
        f"{given.count - given.first} mutants: {total}; {deaths} ended the process", file=sys.stderr
    )
    return 1 if deaths or outcomes["nothing"] or outcomes["refused in many words"] else 0


def mutant_file(folder: Path) -> Path:
    """The one being read."""
    return next(folder.glob("mutant.*"))


def read_mutants(folder: Path, seed: int, numbers: range) -> None:
    """Read each mutant and print what came of it, a line each."""
    clips = sorted(path for path in folder.iterdir() if path.name in CLIPS)
    originals = [(path, path.read_bytes(), packets(path)) for path in clips]
    for number in numbers:
        path, content, places = originals[number % len(originals)]
        random = np.random.default_rng([seed, number])
        name, mutation = list(MUTATIONS.items())[random.integers(len(MUTATIONS))]
        for old in folder.glob("mutant.*"):
            old.unlink()
        mutant = folder / f"mutant{path.suffix}"
        mutant.write_bytes(mutation(bytearray(content), places, random))
        outcome = read(mutant, SAMPLINGS[random.integers(len(SAMPLINGS))])
        entry = {"mutant": number, "clip": path.name, "mutation": name, "outcome": outcome}
        print(json.dumps(entry), flush=True)


def read(path: Path, settings: SampleSettings) -> str:
    """What comes of reading a video: frames, frames with warnings, or an error of one line."""
    try:
        with sample(path, settings) as sampling:
            frames = sum(1 for _ in sampling)
            warnings = sampling.warnings
    except MesovidError as error:
        return "refused" if len(str(error).splitlines()) == 1 else "refused in many words"
    return "read with warnings" if warnings else "read" if frames else "nothing"


def make_clips(folder: Path, names: list[str]) -> None:
    """Small moving clips, with a key frame every 8 frames."""
    noise = np.random.default_rng(7).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    picture = cv2.GaussianBlur(noise, (9, 9), 0)
    for name in names:
        codec, pixels = CLIPS[name]
        options = QUIET.get(codec, {}) | OPTIONS.get(name, {})
        with av.open(str(folder / name), "w") as output:
            stream = output.add_stream(codec, rate=25, options=options)
            stream.width, stream.height = (256, 128) if codec == "dnxhd" else (SIZE, SIZE)
            stream.pix_fmt = pixels
            stream.codec_context.gop_size = 8
            if name.startswith("pq"):
                stream.codec_context.color_trc, stream.codec_context.color_primaries = PQ, BT2020
            for index in range(FRAMES):
                image = np.tile(np.roll(picture, (index, 2 * index), (0, 1)), (2, 4, 1))
                image = np.ascontiguousarray(image[: stream.height, : stream.width])
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        if hasattr(os, "sched_setscheduler"):
            # SVT-AV1 puts the thread that encodes with it into the real-time class where it may (as
            # root); what is started from there inherits that, and starves everything else
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


Places = list[tuple[int, int, bool]]  # of packets: first byte, size, whether it is a key frame
Random = np.random.Generator


def packets(path: Path) -> Places:
    """Where the packets of a file lie; those that its container keeps in pieces are left out."""
    content, at, places = path.read_bytes(), 0, []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size and (found := content.find(bytes(packet), at)) >= 0:
                places.append((found, packet.size, bool(packet.is_keyframe)))
                at = found + packet.size
    return places


def bits(content: bytearray, start: int, size: int, random: Random) -> bytes:
    """A few bits turned within `size` bytes from `start` on."""
    for place in random.integers(start, start + max(size, 1), 1 + random.integers(12)):
        content[min(int(place), len(content) - 1)] ^= 1 << int(random.integers(8))
    return bytes(content)


def noise(content: bytearray, start: int, size: int, random: Random) -> bytes:
    """Up to `size` bytes from `start` on, replaced by noise or zeros."""
    size = min(1 + int(random.integers(max(size, 1))), len(content) - start)
    content[start : start + size] = random.bytes(size) if random.integers(2) else bytes(size)
    return bytes(content)


def anywhere(content: bytearray, _: Places, random: Random) -> bytes:
    return bits(content, 0, len(content), random)


def many(content: bytearray, _: Places, random: Random) -> bytes:
    for _ in range(10):
        bits(content, 0, len(content), random)
    return bytes(content)


def header(content: bytearray, places: Places, random: Random) -> bytes:
    return bits(content, 0, max(places[0][0], 200), random)


def first_packet(content: bytearray, places: Places, random: Random) -> bytes:
    return (bits, noise)[random.integers(2)](content, places[0][0], places[0][1], random)


def first_bytes(content: bytearray, places: Places, random: Random) -> bytes:
    """The head of the first packet, by which decoders set themselves up."""
    return (bits, noise)[random.integers(2)](content, places[0][0], min(places[0][1], 40), random)


def key_frame(content: bytearray, places: Places, random: Random) -> bytes:
    keys = [place for place in places[1:] if place[2]] or places
    start, size, _ = keys[random.integers(len(keys))]
    return (bits, noise)[random.integers(2)](content, start, min(size, 60), random)


def every_key_frame(content: bytearray, places: Places, random: Random) -> bytes:
    for start, size, key in places:
        if key:
            bits(content, start, min(size, 60), random)
    return bytes(content)


def packet(content: bytearray, places: Places, random: Random) -> bytes:
    start, size, _ = places[random.integers(len(places))]
    return (bits, noise)[random.integers(2)](content, start, size, random)


def every_packet(content: bytearray, places: Places, random: Random) -> bytes:
    for start, size, _ in places:
        if random.integers(3):
            bits(content, start, min(size, 80), random)
    return bytes(content)


def swapped(content: bytearray, places: Places, random: Random) -> bytes:
    """One packet's bytes over another's."""
    (a, size, _), (b, other, _) = (places[random.integers(len(places))] for _ in range(2))
    size = min(size, other)
    content[b : b + size] = content[a : a + size]
    return bytes(content)


def hole(content: bytearray, _: Places, random: Random) -> bytes:
    return noise(content, int(random.integers(len(content))), len(content) // 4, random)


def without_a_piece(content: bytearray, _: Places, random: Random) -> bytes:
    start = int(random.integers(len(content)))
    del content[start : start + int(random.integers(1, len(content) // 4))]
    return bytes(content)


def without_the_first_packet(content: bytearray, places: Places, _: Random) -> bytes:
    start, size, _ = places[0]
    del content[start : start + size]
    return bytes(content)


def repeated_piece(content: bytearray, _: Places, random: Random) -> bytes:
    start = int(random.integers(len(content)))
    piece = content[start : start + int(random.integers(1, 4000))]
    return bytes(content[:start] + piece + content[start:])


def cut_off(content: bytearray, _: Places, random: Random) -> bytes:
    return bytes(content[: random.integers(1, len(content))])


MUTATIONS: dict[str, Callable[[bytearray, Places, Random], bytes]] = {
    mutation.__name__: mutation
    for mutation in (
        anywhere,
        many,
        header,
        first_packet,
        first_bytes,
        key_frame,
        every_key_frame,
        packet,
        every_packet,
        swapped,
        hole,
        without_a_piece,
        without_the_first_packet,
        repeated_piece,
        cut_off,
    )
}

if __name__ == "__main__":
    sys.exit(main())
