"""Kills a scan of a thousand videos again and again, and compares it with an undisturbed run.

    python tests/fuzz/kill_archive.py FOLDER [--videos 1000] [--kills 10] [--seed 1]

Makes short clips, some of them damaged, and some that crash, hang or bloat the process that opens
them (a stand-in for a flaw of a decoder). Scans them with two workers undisturbed; then kills a
worker or the whole run at random, ten times, and starts the same command again; once the disk seems
full. Every video must have exactly one line, the same as undisturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import skimage.data

FLAWED = """
import os, time
import mesovid.video as video
real = video.Sampling.__init__
def flawed(self, path, settings, *more, **options):
    name = os.path.basename(path)
    if name.startswith("crash"): os.abort()
    if name.startswith("hang"): time.sleep(600)
    if name.startswith("bloat"): self.much = bytearray(4 * 2**30)
    real(self, path, settings, *more, **options)
video.Sampling.__init__ = flawed
"""
OPTIONS = ("--workers", "2", "--timeout", "10", "--memory-limit", "3000", "--frames", "4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    dice = random.Random(asked.seed)
    videos = asked.folder / "videos"
    make_videos(videos, asked.videos, dice)
    site = asked.folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(FLAWED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.getcwd()])}
    whole, torn = asked.folder / "whole.jsonl", asked.folder / "torn.jsonl"
    for file in (whole, torn):
        file.unlink(missing_ok=True)
    began = time.monotonic()
    finish(videos, whole, environment)
    seconds = time.monotonic() - began
    print(f"undisturbed: {count(whole)} lines in {seconds:.0f} s")
    for number in range(asked.kills):
        disturb(videos, torn, environment, dice, number, asked.videos // (asked.kills + 1))
    full_disk(videos, torn, environment)
    finish(videos, torn, environment)
    compare(whole, torn, asked.videos)


def make_videos(folder: Path, number: int, dice: random.Random) -> None:
    """Clips of a few frames; of a hundred one crashes, hangs or bloats, and five are damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    portrait = skimage.data.astronaut()[:256, 96:352]
    for i in range(number):
        kind = ("crash", "hang", "bloat")[(i // 100) % 3] if i % 100 == 50 else "clip"
        path = folder / f"{kind}{i:05}.mp4"
        if path.exists():
            continue
        image = portrait if i % 3 else np.full_like(portrait, i % 251)
        with av.open(str(path), "w") as output:
            stream = output.add_stream("mpeg4", 25)
            stream.width = stream.height = 256
            for step in range(4):
                frame = av.VideoFrame.from_ndarray(np.roll(image, (i + step) % 16, 1), "rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        if i % 20 == 7:
            damage(path, dice, i // 20 % 10)


def damage(path: Path, dice: random.Random, way: int) -> None:
    content = bytearray(path.read_bytes())
    size = len(content)
    if way == 0:
        content = bytearray()
    elif way == 1:
        content = content[: size // 2]
    elif way == 2:
        content = content[size // 3 :]
    elif way == 3:
        content[:64] = bytes(64)
    elif way == 4:
        content = bytearray(b"no video at all\n" * 10)
    elif way == 5:
        content = content[:-20]
    elif way == 6:
        content += dice.randbytes(500)
    else:
        for _ in range(20 * (way - 6)):
            content[dice.randrange(size)] = dice.randrange(256)
    path.write_bytes(content)


def command(videos: Path, file: Path) -> list[str]:
    return [sys.executable, "-m", "mesovid", "scan", str(videos), "-o", str(file), *OPTIONS]


def finish(videos: Path, file: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command(videos, file), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr  # some are damaged
    assert "Traceback" not in done.stderr, done.stderr
    print("  " + done.stderr.strip().splitlines()[-1])


def disturb(
    videos: Path,
    file: Path,
    environment: dict[str, str],
    dice: random.Random,
    number: int,
    lines: int,
) -> None:
    """Start the run and kill it, or one of its workers, after some more lines."""
    target = count(file) + dice.randrange(1, lines)
    with subprocess.Popen(command(videos, file), env=environment, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and count(file) < target:
            time.sleep(0.01)
        if run.poll() is None and number % 2:
            workers = [
                pid
                for pid in children(run.pid)
                if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            os.kill(dice.choice(workers), signal.SIGKILL)
            time.sleep(0.5)
        run.kill()
    print(f"  killed at {count(file)} lines")


def full_disk(videos: Path, file: Path, environment: dict[str, str]) -> None:
    """A limit on the size of files stands in for a full disk."""
    limit = file.stat().st_size + 20_000
    done = subprocess.run(
        command(videos, file),
        env=environment, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") <= 12, done.stderr
    print(f"  disk full at {count(file)} lines: {done.stderr.strip().splitlines()[-1]}")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def count(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def results(file: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    found = {line["path"]: line | {"seconds": None} for line in lines}
    assert len(found) == len(lines), "a video has two lines"
    return found


def compare(whole: Path, torn: Path, number: int) -> None:
    first, second = results(whole), results(torn)
    assert len(first) == number, f"{len(first)} of {number} videos"
    differing = [path for path in first if first[path] != second.get(path)]
    kinds: dict[str, int] = {}
    for line in first.values():
        kinds[line["status"]] = kinds.get(line["status"], 0) + 1
    print(f"{len(second)} lines, {len(differing)} unlike the undisturbed ones; {kinds}")
    for path in differing[:5]:
        print(first[path]["error"], "|", (second.get(path) or {}).get("error"))
    sys.exit(1 if differing or len(second) != number else 0)


if __name__ == "__main__":
    main()
