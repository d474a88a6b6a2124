"""Runs the commands of README and documents, in a folder that holds what they speak of.

    python tests/fuzz/run_documents.py [PAGE...]

Makes small clips of the portrait of examples/, a collection in the layout of FaceForensics++, a
picture, faces, and detectors to import, and runs each page's commands in their order. A command
with a stand-in for the reader's own (DATA, NAME, a bucket, a cluster) is only parsed, which
`tests/test_documents.py` does. What runs until it is stopped gets Ctrl-C once it works. Prints a
line a command; the status is 1 when one ended otherwise than the page says.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(ROOT)]

from test_documents import PAGES, commands  # noqa: E402

STAND_INS = re.compile(r"[A-Z]{4,}\b(?<!FAKE)|s3://|/archive|/data|\.\.\.|--address|shipped/")
ENDLESS = ("serve", "--watch")
SPLITS = ("train", "valid", "test")  # a pair of people each
SECONDS = 3600  # a command
ENOUGH = 20  # seconds after which what never ends is stopped


def main() -> None:
    pages = [page for page in PAGES if not sys.argv[1:] or page.name in sys.argv[1:]]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        furnish(place)
        for page in pages:
            for words in dict.fromkeys(commands(page)):
                wrong += not run(page, words, place)
    sys.exit(bool(wrong))


def furnish(place: Path) -> None:
    """Put there what the pages' commands name."""
    shutil.copytree(ROOT / "examples", place / "examples", ignore=shutil.ignore_patterns("*.py"))
    real, fake = (ROOT / "examples" / f"{name}.mp4" for name in ("astronaut", "swapped"))
    for name in ("clip.mp4", "more.mov", "archive/a.mp4", "inbox/b.mp4", "news/x/c.mp4"):
        varied(real, place / name, 1.0)
    ffpp, mine = place / "FaceForensics++", place / "my-videos"
    reals = ffpp / "original_sequences/youtube/c23/videos"
    fakes = ffpp / "manipulated_sequences/Deepfakes/c23/videos"
    for pair, split in enumerate(SPLITS):
        one, other = f"{2 * pair:03}", f"{2 * pair + 1:03}"
        for number, key in enumerate((one, other)):
            varied(real, reals / f"{key}.mp4", 0.6 + 0.1 * pair + 0.02 * number)
            varied(real, mine / split / "real" / f"{key}.mp4", 0.6 + 0.1 * pair + 0.02 * number)
        for number, key in enumerate((f"{one}_{other}", f"{other}_{one}")):
            varied(fake, fakes / f"{key}.mp4", 0.6 + 0.1 * pair + 0.02 * number)
            varied(fake, mine / split / "fake" / f"{key}.mp4", 0.6 + 0.1 * pair + 0.02 * number)
    lists = {split: [[f"{2 * i:03}", f"{2 * i + 1:03}"]] for i, split in enumerate(SPLITS)}
    (ffpp / "splits.json").write_text(json.dumps(lists))
    with av.open(str(real)) as container:
        next(container.decode(video=0)).to_image().save(place / "photo.jpg")
    shutil.copy(ROOT / "tests/golden/torch-detector.onnx", place / "detector.onnx")
    import keras

    keras.saving.load_model(ROOT / "trained_models/meso4.keras").save_weights(
        place / "weights.weights.h5"
    )
    (place / "weights.weights.h5").rename(place / "weights.h5")
    run(ROOT / "README.md", "mesovid scan clip.mp4 --save-faces faces", place)
    run(ROOT / "README.md", "mesovid extract my-videos -o datasets/mine", place)


def varied(source: Path, target: Path, brightness: float) -> None:
    """A copy of two seconds of a clip, in H.264, of another brightness."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(source)) as frames, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        shown = frames.streams.video[0]
        stream.width, stream.height = shown.width, shown.height
        for number, frame in enumerate(frames.decode(video=0)):
            if number == 50:
                break
            pixels = (frame.to_ndarray(format="rgb24") * brightness).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode(None))


def run(page: Path, words: str, place: Path) -> bool:
    """Whether the command does what the page says; prints how it went."""
    name, *rest = shlex.split(words)[1:]
    if STAND_INS.search(words) or words == "mesovid scan -":
        print(f"parsed  {page.name}: {words}", flush=True)
        return True
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "mesovid", name, *rest],
        cwd=place,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    endless = name in ENDLESS or any(word in ENDLESS for word in rest)
    try:
        _, said = process.communicate(timeout=ENOUGH if endless else SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    # a command without its arguments is a name in a sentence
    named = process.returncode == 2 and not any(Path(place, word).exists() for word in rest)
    expected = {0, 130} if endless else {0, 3} if "--fail-on" in rest else {0}
    lacks = "Missing" in said or "needs a value" in said
    right = process.returncode in expected or (named and lacks)
    print(
        f"{'ran   ' if right else 'WRONG '}  {page.name}: {words}"
        f" ({time.monotonic() - began:.0f} s, status {process.returncode})"
        + ("" if right else "\n" + said[-2000:]),
        flush=True,
    )
    return right


if __name__ == "__main__":
    main()
