"""Reads thousands of damaged files of every other kind: models, cards, runs, tables, results.

    python tests/fuzz/mutate_files.py --count 20000 --seed 1 [--kinds card keras ...]

As `mutate_videos.py` does with videos: mutant n of a seed is always the same file, and it is read
in a child process. Each must be read, or refused by one clear line; whatever else comes, a
traceback, a signal or more than `LATE` seconds, is kept as a file and counts. Half of the mutants
of texts in JSON have a value replaced, which damaged bytes alone hardly do.
"""

from __future__ import annotations

import argparse
import copy
import functools
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mesovid.dataset.sources import NotThisLayoutError
from mesovid.errors import MesovidError

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

SHIPPED = ROOT / "trained_models"
LATE = 30  # seconds
Random = np.random.Generator


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, what is sound, and what reads it."""

    file: str
    sound: Callable[[], bytes]
    read: Callable[[Path], object]


# --- what reads them; imports are here, lest a child that reads cards waits for all


def read_keras(path: Path) -> None:
    from mesovid.models import keras_graph, weights

    for read in (weights.read_layers, weights.read_once, keras_graph._described):
        try:
            read(path)
        except MesovidError as error:
            check(error)


def keras(content: bytes) -> bytes:
    """A `.keras` file whose weights are these."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(SHIPPED / "meso4.keras") as shipped,
        zipfile.ZipFile(packed, "w") as archive,
    ):
        archive.writestr("config.json", shipped.read("config.json"))
        archive.writestr("model.weights.h5", content)
    return packed.getvalue()


def read_weights(path: Path) -> None:
    path.write_bytes(keras(path.read_bytes()))
    read_keras(path)


def read_config(path: Path) -> None:
    content = path.read_bytes()
    with zipfile.ZipFile(SHIPPED / "meso4.keras") as shipped, zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", content)
        archive.writestr("model.weights.h5", shipped.read("model.weights.h5"))
    read_keras(path)


def read_legacy(path: Path) -> None:
    read_keras(path)


def legacy() -> bytes:
    """A whole model of Keras 2, in small."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"] = member("config.json")
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"conv2d", b"dense"]
        for name in ("conv2d", "dense"):
            layer = root.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            layer[f"{name}/kernel:0"] = np.zeros((3, 3), np.float32)
    return content.getvalue()


def member(name: str) -> bytes:
    with zipfile.ZipFile(SHIPPED / "meso4.keras") as shipped:
        return shipped.read(name)


def read_onnx(path: Path) -> None:
    from mesovid import onnx_file
    from mesovid.networks import load_onnx
    from mesovid.settings import RuntimeSettings

    try:
        onnx_file.check_graph(onnx_file.read(path), path)
    except MesovidError as error:
        check(error)
    network = load_onnx(path, RuntimeSettings(device="cpu", threads=1))
    network(np.zeros((1, 256, 256, 3), np.uint8))


def read_card(path: Path) -> None:
    from mesovid.models.card import card_at
    from mesovid.models.inputs import preparation

    card = card_at(path)
    json.dumps(card.to_dict())
    card.calibration([0.0, 0.5, 1.0])
    prepare = preparation(
        card.colour, card.input_range, card.mean, card.deviation, card.layout, np.float32
    )
    prepare(np.zeros((1, 16, 16, 3), np.uint8))


def read_run(path: Path) -> None:
    from mesovid.models import card
    from mesovid.training.run_folder import RunFolder

    RunFolder(path.parent, {"seed": 1, "train": {"epochs": 3}}, override=True)
    card.read_card(path.parent)


def run() -> bytes:
    plan = {"seed": 1, "train": {"epochs": 3, "loss": "focal"}, "data": ["a", "b"]}
    return json.dumps({"kind": "mesovid run", "status": "running", "plan": plan}).encode()


def read_checkpoint(path: Path) -> None:
    from mesovid.training.checkpoint import load

    load(path.parent)


def checkpoint() -> bytes:
    from mesovid.training.checkpoint import Epoch

    content = io.BytesIO()
    history = [dict.fromkeys(Epoch.__annotations__, 1)]
    about = json.dumps({"history": history, "best": 0})
    np.savez(content, about=np.array(about), model_0=np.zeros(9), optimizer_0=np.ones((2, 2)))
    return content.getvalue()


def read_manifest(path: Path) -> None:
    from mesovid.dataset.manifest import counts, digest, read_dataset

    dataset = read_dataset(path.parent)
    digest(dataset)
    json.dumps(counts(dataset.crops))


def manifest() -> bytes:
    from mesovid.dataset.manifest import CropEntry, to_line

    entries = [
        CropEntry(
            file=f"train/{label}/{video}/{frame:06}_0.png", label=label, video=video, frame=frame,
            time=frame / 25, split="train", method="Deepfakes" if label == "fake" else None,
            target="id1", source="id2", original="a", box=(1.0, 2.0, 3.0, 4.0),
            landmarks=((1.0, 2.0),) * 5, confidence=0.9,
        )
        for label, video in (("real", "a"), ("fake", "b"))
        for frame in range(3)
    ]  # fmt: skip
    return "".join(to_line(entry) + "\n" for entry in entries).encode()


def read_card_of_dataset(path: Path) -> None:
    (path.parent / "manifest.jsonl").write_bytes(manifest())
    read_manifest(path)


def dataset_card() -> bytes:
    from mesovid.settings import Geometry

    geometry = Geometry().to_dict()
    card = {"schema": 1, "layout": "ffpp", "geometry": geometry, "settings": {"frames": 32}}
    return json.dumps(card).encode()


def read_table(path: Path) -> None:
    from mesovid.dataset.sources import Options
    from mesovid.dataset.tables import read

    read(path, Options())


TABLE = (
    b"file,label,video,method,original,split,identity,source,group,collection\n"
    b'real/a.mp4,real,a,,,train,id1,,1,x\n"fa ke/b.mp4",fake,b,Deepfakes,a,test,id1,id2,1,x\n'
    b"fake/c.png,1_fake,c,FaceSwap,real/a.mp4,valid,id3,id1,2,y\n"
)


def lines_of_table() -> bytes:
    rows = [line.split(b",") for line in TABLE.splitlines()]
    return b"".join(
        json.dumps({k.decode(): v.decode() for k, v in zip(rows[0], row, strict=True)}).encode()
        + b"\n"
        for row in rows[1:]
    )


def read_splits(path: Path) -> None:
    from mesovid.dataset.splits import read_lists

    read_lists(path)


SPLITS = b'{"train": [["000", "003"], ["004", "005"]], "val": ["a", "b_c"], "test": [["1", "2"]]}'


def read_dfdc(path: Path) -> None:
    from mesovid.dataset import dfdc
    from mesovid.dataset.sources import Options

    dfdc.read(path.parent, Options())


DFDC = json.dumps(
    {
        "a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
        "b.mp4": {"label": "REAL", "split": "train", "original": None},
    }
).encode()


def results() -> bytes:
    from test_report import RESULTS, written

    return written("jsonl", RESULTS).encode()


def read_results(path: Path) -> None:
    from mesovid.report.reader import read_results as read
    from mesovid.report.tables import write_table

    said: list[str] = []
    try:
        write_table(read(path, said.append), path.with_suffix(".sqlite"), "sqlite")
        write_table(read(path, said.append), path.with_suffix(".csv"), "text")
    except MesovidError as error:
        check(error)
    for line in said:
        assert "\n" not in line, line
    for result in read(path):
        assert result is not None


def read_archive(path: Path) -> None:
    from mesovid.archive import Archive

    settings = {"frames": 6, "model": "meso4"}
    with Archive(path, "0123456789abcdef" * 4, settings, retry=True) as archive:
        archive.outcome("fake.mp4")


def read_list(path: Path) -> None:
    from mesovid.batch import _read_list

    for name in _read_list(str(path)):  # the names alone: one of them may be /
        assert name.strip(), name


LIST = "a.mp4\r\n  b c.mp4\n~/d.mp4\n*.mov\nä\u2028.mkv\nfolder/\n".encode()


def read_recipe(path: Path) -> None:
    from mesovid import recipes

    recipes.fill(recipes.find(str(path)), {})


def recipe() -> bytes:
    return sorted((ROOT / "pipelines").glob("*.toml"))[0].read_bytes()


def read_boxes(path: Path) -> None:
    from mesovid import cropping
    from mesovid.atoms import false_claim

    stream: Any = SimpleNamespace(id=1, index=0, width=64, height=48)  # as FFmpeg's
    stream.container = SimpleNamespace(streams=SimpleNamespace(video=[stream]))
    false_claim(path)
    for kind in ("mov,mp4", "matroska,webm"):
        crop = cropping.container_crop(path, kind, stream)
        assert min(crop) >= 0
        assert crop.left + crop.right < stream.width


def mov() -> bytes:
    from test_hostile import box, mp4

    aperture = box(b"clap", np.array([32, 1, 24, 1, 1, 1, 1, 1], ">i4").tobytes())
    content = mp4(3).replace(b"\0\x18\xff\xff", b"\0\x18\xff\xff" + aperture)
    return content + mp4(3, fragment=4)


def matroska() -> bytes:
    def element(name: int, content: bytes) -> bytes:
        size = (len(content) | 1 << 28).to_bytes(4)
        return name.to_bytes((name.bit_length() + 7) // 8) + size + content

    video = b"".join(element(name, b"\x08") for name in (0x54CC, 0x54BB, 0x54DD, 0x54AA))
    track = element(0xAE, element(0x83, b"\1") + element(0xE0, video))
    tracks = element(0x1654AE6B, track * 2)
    head = element(0x1A45DFA3, element(0x4282, b"matroska"))
    return head + element(0x18538067, element(0xEC, bytes(9)) + tracks + element(0x1F43B675, b""))


def read_picture(path: Path) -> None:
    """The parsers written here alone; `test_pictures.py` decodes damaged pictures."""
    from mesovid import animations, pictures

    content = path.read_bytes()
    kind = pictures.picture_kind(content)
    pictures.header(content, kind)
    for each in ("jpeg", "png", "webp", "tiff"):
        pictures.header(content, each)
    for each in ("png", "webp"):
        assert all(length >= 0 for length in animations._durations(content, each))
    animations._track_frames(content)


def picture(kind: str) -> bytes:
    from PIL import Image, ImageCms

    content = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [Image.new("RGB", (8, 8), (40 * i, 9, 9)) for i in range(3)]
    more = {"save_all": True, "append_images": frames[1:]} if kind in ("PNG", "WEBP") else {}
    frames[0].save(content, kind, icc_profile=profile, **more)
    return content.getvalue()


KINDS = {
    "keras": Kind("m.keras", lambda: (SHIPPED / "meso4.keras").read_bytes(), read_keras),
    "weights": Kind("m.keras", lambda: member("model.weights.h5"), read_weights),
    "config": Kind("m.keras", lambda: member("config.json"), read_config),
    "legacy": Kind("m.h5", legacy, read_legacy),
    "onnx": Kind("m.onnx", lambda: (SHIPPED / "meso4.onnx").read_bytes(), read_onnx),
    "card": Kind("m.json", lambda: (SHIPPED / "mesolite.json").read_bytes(), read_card),
    "panel": Kind("m.json", lambda: (SHIPPED / "panel.json").read_bytes(), read_card),
    "run": Kind("run.json", run, read_run),
    "checkpoint": Kind("checkpoint.npz", checkpoint, read_checkpoint),
    "manifest": Kind("manifest.jsonl", manifest, read_manifest),
    "dataset card": Kind("dataset.json", dataset_card, read_card_of_dataset),
    "CSV": Kind("manifest.csv", lambda: TABLE, read_table),
    "JSON lines": Kind("manifest.jsonl", lines_of_table, read_table),
    "splits": Kind("splits.json", lambda: SPLITS, read_splits),
    "DFDC": Kind("metadata.json", lambda: DFDC, read_dfdc),
    "results": Kind("r.jsonl", results, read_results),
    "archive": Kind("r.jsonl", results, read_archive),
    "list": Kind("list.txt", lambda: LIST, read_list),
    "recipe": Kind("r.toml", recipe, read_recipe),
    "mov": Kind("x.mov", mov, read_boxes),
    "matroska": Kind("x.mkv", matroska, read_boxes),
    "JPEG": Kind("x.jpg", lambda: picture("JPEG"), read_picture),
    "PNG": Kind("x.png", lambda: picture("PNG"), read_picture),
    "WebP": Kind("x.webp", lambda: picture("WEBP"), read_picture),
    "TIFF": Kind("x.tif", lambda: picture("TIFF"), read_picture),
}
WRITTEN_HERE = (
    "card", "manifest", "dataset card", "CSV", "JSON lines", "splits", "results", "list", "mov",
    "matroska", "JPEG", "PNG", "WebP", "TIFF",
)  # fmt: skip


# --- mutations

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**30, -(10**30), 1e308, float("nan"), float("inf"), 0.5, "", "x",
    "../x", "/x", "\0", "\ud800", "a\nb", "x" * 3000, [], {}, [[]], {"a": 1}, [None], [1, 2],
    ["x"] * 999,
)  # fmt: skip
TOKENS = (
    b"null", b"NaN", b"-1", b"1e999", b"[", b"]", b"{", b"}", b'"', b"\\u0000", b"\\ud800", b"\0",
    b"\xff", b"\n", b"\r\n", b",", b";", b"\t", b"../", b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 5000,
    b"9" * 5000, b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"true",
)  # fmt: skip


def mutant(sound: bytes, random: Random) -> bytes:
    if random.integers(2) and (changed := with_other_values(sound, random)) is not None:
        return changed
    content = bytearray(sound)
    for _ in range(1 + int(random.integers(4)) ** 2):
        MUTATIONS[random.integers(len(MUTATIONS))](content, random)
    return bytes(content)


def with_other_values(sound: bytes, random: Random) -> bytes | None:
    """JSON, or lines of it, with one to three values replaced, taken away, or moved."""
    parsed = values_of(sound)
    if parsed is None:
        return None
    documents = [json.loads(text) for text in parsed]
    for _ in range(1 + int(random.integers(3))):
        replace_one(documents, random)
    return "\n".join(json.dumps(each) for each in documents).encode(errors="replace") + b"\n"


@functools.cache
def values_of(sound: bytes) -> tuple[str, ...] | None:
    try:
        return (json.dumps(json.loads(sound)),)
    except ValueError:
        pass
    try:
        return tuple(json.dumps(json.loads(line)) for line in sound.splitlines())
    except ValueError:
        return None


def replace_one(value: Any, random: Random) -> None:
    while value:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[int(random.integers(len(keys)))]
        inner = value[key]
        if isinstance(inner, (dict, list)) and inner and random.integers(5):
            value = inner
            continue
        action = random.integers(8)
        if action == 0:
            del value[key]
        elif action == 1 and isinstance(value, dict):
            value[str(key) + "x"] = value.pop(key)
        elif action == 2 and isinstance(value, list):
            value.append(copy.deepcopy(inner))
        else:
            value[key] = copy.deepcopy(VALUES[int(random.integers(len(VALUES)))])
        return


def flip(content: bytearray, random: Random) -> None:
    if content:
        content[int(random.integers(len(content)))] ^= 1 << int(random.integers(8))


def noise(content: bytearray, random: Random) -> None:
    start = int(random.integers(len(content) + 1))
    size = int(random.integers(1, 64))
    content[start : start + size] = random.bytes(size) if random.integers(2) else bytes(size)


def take(content: bytearray, random: Random) -> None:
    start = int(random.integers(len(content) + 1))
    del content[start : start + int(random.integers(1, max(2, len(content) // 4)))]


def repeat(content: bytearray, random: Random) -> None:
    start = int(random.integers(len(content) + 1))
    piece = content[start : start + int(random.integers(1, 400))]
    content[start:start] = piece * int(random.integers(1, 30))


def token(content: bytearray, random: Random) -> None:
    start = int(random.integers(len(content) + 1))
    new = TOKENS[int(random.integers(len(TOKENS)))]
    content[start : start + (len(new) if random.integers(2) else 0)] = new


def cut(content: bytearray, random: Random) -> None:
    del content[int(random.integers(len(content) + 1)) :]


MUTATIONS = (flip, flip, flip, noise, take, repeat, token, token, cut)


# --- running


def check(error: MesovidError) -> None:
    """A refusal must be one line."""
    assert str(error).strip(), type(error)
    assert len(str(error).splitlines()) == 1, str(error)


def attempt(kind: Kind, content: bytes, folder: Path) -> str:
    """What comes of reading a file: read or refused; anything else is raised."""
    path = folder / kind.file
    path.write_bytes(content)
    try:
        kind.read(path)
    except MesovidError as error:
        check(error)
        return "refused"
    except NotThisLayoutError:  # another layout is tried then
        return "refused"
    finally:
        for left in folder.iterdir():
            left.unlink()
    return "read"


def read_mutants(given: argparse.Namespace) -> None:
    names = given.kinds or list(KINDS)
    sound = {name: KINDS[name].sound() for name in names}
    keep = Path(given.child)
    for number in range(given.first, given.count):
        name = names[number % len(names)]
        content = mutant(sound[name], np.random.default_rng([given.seed, number]))
        (keep / "mutant").write_bytes(content)
        signal.alarm(LATE)  # it ends the process
        with tempfile.TemporaryDirectory(dir=keep) as folder:
            try:
                entry = {"outcome": attempt(KINDS[name], content, Path(folder))}
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                entry = {
                    "outcome": "found",
                    "what": f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})",
                }
        signal.alarm(0)
        print(json.dumps({"mutant": number, "kind": name, **entry}), flush=True)


def main() -> int:
    """Read the mutants that the command line asks for; 1 where one was neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), help="of these only")
    parser.add_argument("--keep", type=Path, help="folder for the files that were found")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        read_mutants(given)
        return 0
    outcomes: Counter[str] = Counter()
    first, total = given.first, given.count - given.first
    with tempfile.TemporaryDirectory() as folder:
        while first < given.count:
            words = [*sys.argv[1:], "--child", folder, "--first", str(first)]
            with subprocess.Popen(
                [sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True
            ) as child:
                assert child.stdout
                for line in child.stdout:
                    entry = json.loads(line)
                    outcomes[entry["outcome"]] += 1
                    first += 1
                    if entry["outcome"] == "found":
                        told(entry, given)
            if child.returncode:
                how = child.returncode
                name = signal.Signals(-how).name if how < 0 else f"exit status {how}"
                names = given.kinds or list(KINDS)
                kind = names[first % len(names)]
                told({"mutant": first, "kind": kind, "what": name}, given)
                outcomes["ended the process"] += 1
                first += 1
    counted = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{total:,} mutants of {len(given.kinds or KINDS)} kinds: {counted}", file=sys.stderr)
    return int(bool(outcomes["found"] or outcomes["ended the process"]))


def told(entry: dict[str, Any], given: argparse.Namespace) -> None:
    print(json.dumps(entry), flush=True)
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        names = given.kinds or list(KINDS)
        content = mutant(
            KINDS[names[entry["mutant"] % len(names)]].sound(),
            np.random.default_rng([given.seed, entry["mutant"]]),
        )
        (given.keep / f"{given.seed}-{entry['mutant']}-{entry['kind']}").write_bytes(content)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
