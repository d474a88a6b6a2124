"""Makes the clips that `speed.py` times: one person and a crowd, in three sizes and three lengths.

    python benchmarks/make_clips.py CLIPS                              # from examples/astronaut.mp4
    python benchmarks/make_clips.py CLIPS --person FILE --crowd FILE   # from your own

The crowd is made of copies of the example. A source is repeated up to the length, scaled and
cropped to 16:9 and encoded by x264 with its default settings (key frames up to 250 frames apart).
The hour repeats the minute without encoding again. Needs the ffmpeg program. Clips are named
`<scene>_<height>p_<length>.mp4`; those that exist are kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "astronaut.mp4"
HEIGHTS = (360, 720, 1080)  # px
LENGTHS = {"10s": 10, "1min": 60}  # s; the hour is made of the minute
CROWD = (
    "[0:v]split=6[a][b][c][d][e][f];[a][b][c]hstack=3[up];[d][e][f]hstack=3[low];[up][low]vstack"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--person", type=Path, default=EXAMPLE, help="clip with one person")
    parser.add_argument(
        "--crowd",
        type=Path,
        help="clip with many; default: the person's, six times beside each other",
    )
    parser.add_argument(
        "--heights", type=int, nargs="+", default=HEIGHTS, choices=HEIGHTS, metavar="PX"
    )
    parser.add_argument(
        "--hour", type=int, nargs="*", default=[1080], metavar="PX", help="heights to have for 1 h"
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for scene, source in (("person", given.person), ("crowd", given.crowd)):
        for height in given.heights:
            for name, seconds in LENGTHS.items():
                clip = given.folder / f"{scene}_{height}p_{name}.mp4"
                encode(source or given.person, clip, height, seconds, tile=source is None)
            if height in given.hour:
                repeat(clip, given.folder / f"{scene}_{height}p_1h.mp4", 60)


def encode(source: Path, clip: Path, height: int, seconds: int, *, tile: bool) -> None:
    """Write `seconds` of `source` as a clip of 16:9; `tile` puts six copies beside each other."""
    width = round(height * 16 / 18) * 2
    fit = (
        f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
        ",setsar=1"
    )
    graph = f"{CROWD},{fit}" if tile else f"[0:v]{fit}"
    run(
        clip,
        "-stream_loop",
        "-1",
        "-i",
        source,
        "-t",
        seconds,
        "-filter_complex",
        graph,
        "-an",
        "-pix_fmt",
        "yuv420p",
    )


def repeat(clip: Path, longer: Path, times: int) -> None:
    """Write `clip` so many times one after the other, without encoding it again."""
    run(longer, "-stream_loop", times - 1, "-i", clip, "-c", "copy")


def run(output: Path, *arguments: object) -> None:
    if output.exists():
        return
    part = output.with_suffix(".part.mp4")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments), str(part)], check=True)
    os.replace(part, output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
