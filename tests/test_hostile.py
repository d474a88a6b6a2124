"""Files made to do harm: each is refused in one line, in bounded time and memory.

Each case makes its own file. They are tried in forks of one child process, so that one which hangs,
crashes or takes all memory fails alone.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and /proc")

LATE = 20  # seconds of processor time; what is refused takes hundredths
MOST = 400  # MiB beyond what the modules take
NAMES_OTHERS = "which names other files"
SHIPPED = Path(__file__).resolve().parent.parent / "trained_models"
Attempt = Callable[[], object]  # what a user would do with the file
CASES: dict[str, tuple[Callable[[Path], Attempt], str]] = {}  # how it is made, and what is said


def case(says: str) -> Callable[[Callable[[Path], Attempt]], Callable[[Path], Attempt]]:
    def add(make: Callable[[Path], Attempt]) -> Callable[[Path], Attempt]:
        CASES[make.__name__.strip("_").replace("_", " ")] = make, says
        return make

    return add


def watched(path: Path, content: bytes, size: int | None = None) -> Attempt:
    """Look at every frame that a scan would look at; `size` makes the file that large."""
    path.write_bytes(content)
    if size is not None:
        os.truncate(path, size)

    def attempt() -> int:
        from mesovid.settings import SampleSettings
        from mesovid.video import sample

        with sample(path, SampleSettings()) as sampling:
            return sum(1 for _ in sampling)

    return attempt


# --- text that names other files

TEXTS = {
    "concat": ("x.mp4", "ffconcat version 1.0\nfile other.mp4\n", NAMES_OTHERS),
    "concat behind a mark": ("x.mp4", "\ufeff\n ffconcat version 1.0\nfile o.mp4\n", NAMES_OTHERS),
    "concat without a head": ("x.mp4", "file 'other.mp4'\n", "not a video that can be read"),
    "HLS": ("x.ts", "#EXTM3U\n#EXTINF:9,\nother.mp4\n#EXT-X-ENDLIST\n", NAMES_OTHERS),
    "M3U": ("x.mp4", "other.mp4\nmore.mp4\n", "not a video that can be read"),
    "DASH": ("x.mp4", '<?xml version="1.0"?>\n<MPD><BaseURL>o.mp4</BaseURL></MPD>', NAMES_OTHERS),
    "SDP": ("x.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", NAMES_OTHERS),
    "PLS": ("x.mp4", "[playlist]\nFile1=other.mp4\n", NAMES_OTHERS),
    "ASX": ("x.wmv", '<ASX version="3"><ref href="file:///etc/passwd"/></ASX>', NAMES_OTHERS),
    "SMIL": ("x.mp4", '<smil><body><video src="other.mp4"/></body></smil>', NAMES_OTHERS),
    "RAM": ("x.rm", "rtsp://127.0.0.1:9/x\nfile:///etc/passwd\n", "not a video that can be read"),
    "a script": ("x.avi", 'AviSource("other.avi")', "not a video that can be read"),
    "a pattern": ("x.mp4", "%d.png", "not a video that can be read"),
    "SVG": ("x.png", '<svg><image href="file:///etc/passwd"/></svg>', "not a picture"),
    "a link": ("x.mp4", "[InternetShortcut]\nURL=file:///etc/passwd\n", "not a video that can"),
}
for _name, (_file, _text, _says) in TEXTS.items():
    CASES[_name] = (
        lambda folder, file=_file, text=_text: watched(folder / file, text.encode()),  # type: ignore[misc]
        _says,
    )


# --- videos


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def mp4(
    frames: int, *, size: int = 1, reference: bytes = b"\0\0\0\1", fragment: int | None = None
) -> bytes:
    """A track of so many frames by what is said of it, and hundred bytes for them."""
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    entry = (
        b"\0" * 6 + b"\0\1" + b"\0" * 16 + struct.pack(">HHIII", 64, 64, 0x480000, 0x480000, 0)
        + b"\0\1" + b"\0" * 32 + b"\0\x18\xff\xff"
    )  # fmt: skip
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), box(b"avc1", entry)),
        box(b"stts", struct.pack(">IIII", 0, 1, frames, 1000)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, max(frames, 1), 1)),
        box(b"stsz", struct.pack(">III", 0, size, frames)),
        box(b"stco", struct.pack(">III", 0, 1, 40)),
    )
    length = min(frames * 1000, 2**32 - 1)
    where = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", reference)))
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIII", 0, 0, 0, 25000, length), b"\x55\xc4\0\0"),
        box(b"hdlr", b"\0" * 8, b"vide", b"\0" * 13),
        box(b"minf", box(b"vmhd", b"\0\0\0\1" + b"\0" * 8), where, table),
    )
    track = box(
        b"tkhd", struct.pack(">6I", 7, 0, 0, 1, 0, length), b"\0" * 16, matrix,
        struct.pack(">II", 64 << 16, 64 << 16),
    )  # fmt: skip
    movie = box(
        b"mvhd", struct.pack(">5I", 0, 0, 0, 25000, length), struct.pack(">IH", 0x10000, 0x100),
        b"\0" * 10, matrix, b"\0" * 24, struct.pack(">I", 2),
    )  # fmt: skip
    extended = box(b"mvex", box(b"trex", struct.pack(">6I", 0, 1, 1, 1, 1, 0)))
    head = box(b"ftyp", b"isom\0\0\2\0isom") + box(b"mdat", b"\0" * 100)
    head += box(b"moov", movie, box(b"trak", track, media), extended if fragment else b"")
    if fragment is None:
        return head
    run = box(b"trun", struct.pack(">III", 1, fragment, 100))
    track = box(b"traf", box(b"tfhd", struct.pack(">II", 0x20000, 1)), run)
    return head + box(b"moof", box(b"mfhd", struct.pack(">II", 0, 1)), track)


@case("claims to hold 900,000 frames in [67][0-9][0-9] bytes")
def ten_hours_in_a_thousand_bytes(folder: Path) -> Attempt:
    return watched(folder / "x.mp4", mp4(900_000))


@case("claims to hold 50,000,000 frames")
def fifty_million_frames(folder: Path) -> Attempt:
    return watched(folder / "x.mp4", mp4(50_000_000))


@case("claims to hold 20,000,000 frames")
def a_fragment_of_twenty_million_frames(folder: Path) -> Attempt:
    return watched(folder / "x.mp4", mp4(0, fragment=20_000_000))


@case("claims to hold 50,000,000 frames in 100,000,000 bytes")
def fifty_million_frames_in_a_hole(folder: Path) -> Attempt:
    return watched(folder / "x.mp4", mp4(50_000_000), size=100_000_000)


@case("no frame of its h264 stream can be decoded")
def an_mp4_whose_data_lies_elsewhere(folder: Path) -> Attempt:
    return watched(folder / "x.mov", mp4(3, reference=b"\0\0\0\0other.mov\0"))


@case("it is damaged, cut off or something else|too large")
def y4m_of_100000_px(folder: Path) -> Attempt:
    return watched(folder / "x.y4m", b"YUV4MPEG2 W100000 H100000 F25:1 C420\nFRAME\n" + b"\0" * 99)


@case("frames of 16000x16000 px are too large")
def y4m_of_16000_px(folder: Path) -> Attempt:
    return watched(folder / "x.y4m", b"YUV4MPEG2 W16000 H16000 F25:1 C420\nFRAME\n" + b"\0" * 99)


@case("not a video that can be read")
def a_hole_of_a_terabyte(folder: Path) -> Attempt:
    return watched(folder / "x.mp4", b"", size=2**40)


# --- pictures


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
    )  # fmt: skip


def png(side: int, *further: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *further, data, chunk(b"IEND", b"")])


def apng(frames: int, side: int) -> bytes:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 25, 0, 0))
    data = chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(b"\0\0"))
    start = png(side, chunk(b"acTL", struct.pack(">II", frames, 0)), control)[:-12]
    return start + (control + data) * (frames - 1) + chunk(b"IEND", b"")


def gif(frames: int, side: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\x04\0\1\0\0\0" + b"\x2c" + struct.pack("<4HB", 0, 0, side, side, 0)
    return head + (frame + b"\x02\x02\x44\x01\0") * frames + b";"


def webp(frames: int, side: int) -> bytes:
    from PIL import Image

    still = io.BytesIO()
    Image.new("RGB", (1, 1)).save(still, "WEBP", lossless=True)
    data = b"\0" * 12 + b"\x28\0\0\0" + still.getvalue()[12:]
    frame = b"ANMF" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    canvas = (side - 1).to_bytes(3, "little")
    head = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + canvas * 2
    body = b"WEBP" + head + b"ANIM" + struct.pack("<I", 6) + b"\0" * 6 + frame * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


ANIMATED = {"gif": gif, "apng": apng, "webp": webp}
for _name, _picture in ANIMATED.items():
    CASES[f"{_name} of a million frames"] = (
        lambda folder, name=_name, picture=_picture: watched(  # type: ignore[misc]
            folder / f"x.{name}", picture(1_000_000, 1)
        ),
        "an animated picture of more than 100,000 frames",
    )
    CASES[f"{_name} of the largest side"] = (
        lambda folder, name=_name, picture=_picture: watched(  # type: ignore[misc]
            folder / f"x.{name}", picture(2, 65_535 if name == "gif" else 100_000)
        ),
        "too large|no frame of its gif stream can be decoded",
    )


@case("a picture of 100000x100000 px is too large")
def png_of_100000_px(folder: Path) -> Attempt:
    return watched(folder / "x.png", png(100_000))


@case("a picture of 100000x100000 px is too large")
def a_png_called_a_video(folder: Path) -> Attempt:
    return watched(folder / "x.mp4", png(100_000))


@case("a picture of 65535x65535 px is too large")
def gif_of_65535_px(folder: Path) -> Attempt:
    return watched(folder / "x.gif", gif(1, 65_535))


@case("a picture of 1,048,576 MiB is too large")
def a_picture_of_a_terabyte(folder: Path) -> Attempt:
    return watched(folder / "x.png", png(10)[:33], size=2**40)


@case("not a picture that can be read")
def ppm_of_100000_px(folder: Path) -> Attempt:
    return watched(folder / "x.ppm", b"P6\n100000 100000\n255\n")


@case("not an animation that can be read|no frame of it can be read")
def apng_with_text_of_a_gigabyte(folder: Path) -> Attempt:
    text = chunk(b"zTXt", b"x\0\0" + zlib.compress(b"\0" * 200_000_000, 1))
    animation = apng(3, 1)
    return watched(folder / "x.png", animation[:33] + text + animation[33:])


# --- models


def read_layers(path: Path) -> Attempt:
    def attempt() -> object:
        from mesovid.models import weights

        return weights.read_layers(path)

    return attempt


def described(path: Path) -> Attempt:
    def attempt() -> object:
        from mesovid.models import keras_graph

        return keras_graph._described(path)

    return attempt


def keras(folder: Path, members: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    """A shipped `.keras` file with some of its members replaced."""
    path = folder / "x.keras"
    with (
        zipfile.ZipFile(SHIPPED / "meso4.keras") as shipped,
        zipfile.ZipFile(path, "w", how, compresslevel=1) as archive,
    ):
        for name in {*shipped.namelist(), *members}:
            archive.writestr(name, members.get(name) or shipped.read(name))
    return path


def hdf5(fill: Callable[[Any], object]) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def one_array(*shape: int) -> bytes:
    return hdf5(
        lambda file: file.create_group("layers/conv2d/vars").create_dataset(
            "0", shape, "f4", chunks=(1000,) * len(shape), compression="gzip"
        )
    )


BOMB = b" " * 50_000_000


@case("its config.json would take 50,000,000 bytes")
def a_zip_bomb_in_keras(folder: Path) -> Attempt:
    return read_layers(keras(folder, {"config.json": BOMB}))


@case("its config.json would take 50,000,000 bytes")
def a_zip_bomb_in_a_description(folder: Path) -> Attempt:
    return described(keras(folder, {"config.json": BOMB}))


@case("its model.weights.h5 would take .* stored or deflated")
def a_keras_file_packed_otherwise(folder: Path) -> Attempt:
    path = keras(folder, {"config.json": b"{}"})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"config": {"layers": []}}')
        archive.writestr("model.weights.h5", BOMB, zipfile.ZIP_LZMA)
    return read_layers(path)


@case("it is damaged or not an .h5, .hdf5 or .keras file")
def a_keras_file_that_lies_of_its_size(folder: Path) -> Attempt:
    path = keras(folder, {"model.weights.h5": BOMB})
    content = bytearray(path.read_bytes())
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        if content[at + 46 :].startswith(b"model.weights.h5"):
            struct.pack_into("<I", content, at + 24, 1000)
        at += 4
    path.write_bytes(content)
    return read_layers(path)


@case("its arrays would take more than 256 MiB")
def an_array_of_forty_gigabytes(folder: Path) -> Attempt:
    return read_layers(keras(folder, {"model.weights.h5": one_array(100_000, 100_000)}))


@case("its arrays would take more than 256 MiB")
def many_arrays(folder: Path) -> Attempt:
    def fill(file: Any) -> None:
        group = file.create_group("layers/conv2d/vars")
        for number in range(50):
            group.create_dataset(str(number), (2000, 2000), "f4", chunks=(1000, 1000))

    return read_layers(keras(folder, {"model.weights.h5": hdf5(fill)}))


@case("0 is no array of numbers")
def pickles_in_keras(folder: Path) -> Attempt:
    def fill(file: Any) -> None:
        group = file.create_group("layers/conv2d/vars")
        group["0"] = np.array([pickle.dumps(print)])

    return read_layers(keras(folder, {"model.weights.h5": hdf5(fill)}))


@case("links to somewhere else")
def weights_that_link_to_another_file(folder: Path) -> Attempt:
    import h5py

    link = hdf5(lambda file: file.__setitem__("model_weights", h5py.ExternalLink("/etc/p", "/")))
    (folder / "x.h5").write_bytes(link)
    return described(folder / "x.h5")


@case("it is nested too deeply")
def a_description_of_a_hundred_thousand_levels(folder: Path) -> Attempt:
    return described(keras(folder, {"config.json": b"[" * 100_000}))


@case("30,000 layers; 2000 are the most")
def thirty_thousand_layers(folder: Path) -> Attempt:
    layers = [{"class_name": "Conv2D", "config": {}}] * 30_000
    config = json.dumps({"config": {"layers": layers}}).encode()
    return read_layers(keras(folder, {"config.json": config}))


@case("it is damaged or not")
def a_layer_of_another_folder(folder: Path) -> Attempt:
    names = hdf5(lambda file: file.attrs.__setitem__("layer_names", [b"../../x", b"/a"]))
    (folder / "x.h5").write_bytes(names)
    return read_layers(folder / "x.h5")


@case("it is damaged or not an .h5")
def a_keras_file_without_its_members(folder: Path) -> Attempt:
    path = folder / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../config.json", "{}")
        archive.writestr("/model.weights.h5", "x")
    return read_layers(path)


for _suffix in ("pt", "pth", "pkl", "ckpt", "npz", "npy", "joblib", "h5", "keras", "onnx"):

    def _pickled(folder: Path, suffix: str = _suffix) -> Attempt:
        path = folder / f"x.{suffix}"
        path.write_bytes(pickle.dumps(print))

        def attempt() -> object:
            from mesovid.models.classifier import load_model

            return load_model(path)

        return attempt

    CASES[f"a pickle called {_suffix}"] = _pickled, "is no mesovid model|has no card beside it"


def checkpoint(folder: Path, save: Callable[..., None], **arrays: Any) -> Attempt:
    about = np.array(json.dumps({"history": [], "best": 0}))
    save(folder / "checkpoint.npz", **{"about": about} | arrays)

    def attempt() -> object:
        from mesovid.training.checkpoint import load

        return load(folder)

    return attempt


DAMAGED = "the checkpoints in .* are damaged"


@case(DAMAGED)
def a_pickle_in_npz(folder: Path) -> Attempt:
    return checkpoint(folder, np.savez, model_0=np.array([print], object))


@case(DAMAGED)
def a_zip_bomb_in_npz(folder: Path) -> Attempt:
    return checkpoint(folder, np.savez_compressed, model_0=np.zeros(20_000_000, np.float32))


@case(DAMAGED)
def an_npz_of_forty_gigabytes(folder: Path) -> Attempt:
    attempt = checkpoint(folder, np.savez)
    head = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(folder / "checkpoint.npz", "a") as archive:
        archive.writestr("model_0.npy", head.getvalue())
    return attempt


@case(DAMAGED)
def an_npz_of_a_hundred_thousand_levels(folder: Path) -> Attempt:
    return checkpoint(folder, np.savez, about=np.array("[" * 100_000))


# --- networks in ONNX


def network(path: Path, nodes: list[Any], tensors: list[Any]) -> Path:
    """A detector of 16 px that adds what `nodes` make of `tensors` to its score."""
    from onnx import TensorProto, helper

    make = helper.make_node
    core = [
        make("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        *nodes,
        make("Add", ["mean", "more"], ["sum"]),
        make("Sigmoid", ["sum"], ["flat"]),
        make("Reshape", ["flat", "shape"], ["y"]),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1])
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 16, 16])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(core, "g", [taken], [given], [*tensors, shape])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("evil", 1)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    return path


def imported(path: Path, **options: Any) -> Attempt:
    def attempt() -> object:
        from mesovid.models.foreign import import_onnx
        from mesovid.settings import Geometry

        folder = path.parent / "models"
        folder.mkdir()
        try:
            return import_onnx(path, output="fake", geometry=Geometry(), folder=folder, **options)
        finally:
            left = [each for each in path.parent.rglob("*") if each not in (path, folder)]
            assert not left, left

    return attempt


def with_card(path: Path, **changes: Any) -> Attempt:
    """Load a network by a card that a stranger wrote for it."""
    from mesovid.models.card import sha256_of

    card = json.loads((SHIPPED / "meso4.json").read_text())
    card |= {"name": "x", "architecture": "onnx", "layout": "NCHW", "figures": []}
    card["sha256"] = {"onnx": sha256_of(path)}
    card["geometry"]["size"] = 16
    path.with_suffix(".json").write_text(json.dumps(card | changes))

    def attempt() -> object:
        from mesovid.models.classifier import load_model
        from mesovid.settings import RuntimeSettings

        model = load_model(path, RuntimeSettings(device="cpu"))
        return model(np.zeros((1, 16, 16, 3), np.uint8))

    return attempt


def external(folder: Path, location: str) -> Path:
    from onnx import TensorProto

    (folder / "w.bin").write_bytes(bytes(4))
    tensor = TensorProto(name="more", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return network(folder / "x.onnx", [], [tensor])


for _place in ("w.bin", "../../../etc/hostname", "/etc/hostname"):
    CASES[f"ONNX with weights in {_place}"] = (
        lambda folder, place=_place: with_card(external(folder, place)),  # type: ignore[misc]
        "keeps weights in another file",
    )


@case("keeps weights in another file")
def weights_elsewhere_imported(folder: Path) -> Attempt:
    path = external(folder, "../w.bin")
    (folder / "w.bin").unlink()
    return imported(path)


@case("needs the operator Evil of 'evil'")
def an_operator_of_its_own(folder: Path) -> Attempt:
    from onnx import helper

    evil = helper.make_node("Evil", ["x"], ["more"], domain="evil")
    return imported(network(folder / "x.onnx", [evil], []))


def loop(folder: Path) -> Path:
    from onnx import TensorProto, helper

    make, info = helper.make_node, helper.make_tensor_value_info
    body = helper.make_graph(
        [make("Identity", ["go"], ["on"]), make("Sigmoid", ["v"], ["w"])],
        "body",
        [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("v", 1, None)],
        [info("on", TensorProto.BOOL, []), info("w", TensorProto.FLOAT, None)],
    )
    times = helper.make_tensor("times", TensorProto.INT64, [], [2**60])
    go = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    nodes = [make("Loop", ["times", "true", "mean"], ["more"], body=body)]
    return network(folder / "x.onnx", nodes, [times, go])


@case("has the operator Loop, which may go on for ever")
def a_loop_without_end_imported(folder: Path) -> Attempt:
    return imported(loop(folder))


@case("has the operator Loop, which may go on for ever")
def a_loop_without_end_with_a_card(folder: Path) -> Attempt:
    return with_card(loop(folder))


@case("does not take|too much memory")
def a_network_that_takes_forty_gigabytes(folder: Path) -> Attempt:
    from onnx import TensorProto, helper

    make = helper.make_node
    nodes = [
        make("ReduceMean", ["x"], ["one"], keepdims=0),
        make("Expand", ["one", "large"], ["spread"]),
        make("ReduceMax", ["spread"], ["more"], keepdims=0),
    ]
    large = helper.make_tensor("large", TensorProto.INT64, [2], [100_000, 100_000])
    return imported(network(folder / "x.onnx", nodes, [large]))


def harmless(folder: Path) -> Path:
    from onnx import TensorProto, helper

    zero = helper.make_tensor("more", TensorProto.FLOAT, [1], [0.0])
    return network(folder / "x.onnx", [], [zero])


@case("a model cannot have the name '../../evil'")
def a_model_named_out_of_its_folder(folder: Path) -> Attempt:
    return imported(harmless(folder), name="../../evil")


MEMBER = {"sha256": "ab"}
CARDS: dict[str, tuple[dict[str, Any], str]] = {
    "named out of its folder": ({"name": "../../x"}, "is no name of a model"),
    "with a member of another folder": (
        {"architecture": "panel", "members": [MEMBER | {"name": "../../x"}]},
        "is no name of a model",
    ),
    "of a panel of itself": (
        {"architecture": "panel", "members": [MEMBER | {"name": "x"}]},
        "has a panel as its member x",
    ),
    "of a hundred thousand members": (
        {"architecture": "panel", "members": [MEMBER | {"name": "x"}] * 100_000},
        "100,000 members; 32 are the most",
    ),
    "with a number for its name": ({"name": 5}, "name is 5; it must be str"),
    "with a list for its geometry": ({"geometry": [1]}, "it must be an object"),
    "of faces of a billion px": ({"geometry": {"size": 10**9}}, "it must be at most 1024"),
    "with a number for a sum": ({"sha256": {"onnx": 5}}, "sha256 is"),
    "of a range beyond numbers": ({"input_range": [0, 10**400]}, "too large"),
    "with a doubtful threshold": ({"threshold": float("nan")}, "threshold"),
    "of fifty levels": ({"training": json.loads('{"a":' * 50 + "1" + "}" * 50)}, "training is"),
}
for _name, (_change, _says) in CARDS.items():
    CASES[f"a card {_name}"] = (
        lambda folder, change=_change: with_card(harmless(folder), **change),  # type: ignore[misc]
        _says,
    )


@case("it is nested too deeply")
def a_card_of_a_hundred_thousand_levels(folder: Path) -> Attempt:
    attempt = with_card(harmless(folder))
    (folder / "x.json").write_text("[" * 100_000)
    return attempt


# --- how they are tried


def main() -> None:
    """Try each case in a fork, and print what came of it, a line of JSON each."""
    import h5py  # noqa: F401  # imported once, before the forks
    import onnx  # noqa: F401

    import mesovid.models.foreign
    import mesovid.training.checkpoint
    import mesovid.video  # noqa: F401

    for name, (make, _) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.close(reading)
                with os.fdopen(writing, "w") as answer:
                    answer.write(json.dumps(tried(make, Path(folder))))
                    answer.flush()
                    os._exit(0)
            os.close(writing)
            with os.fdopen(reading) as answer:
                said = answer.read()
            _, status = os.waitpid(child, 0)
        print(json.dumps({"case": name, "status": status, **json.loads(said or "{}")}), flush=True)


def tried(make: Callable[[Path], Attempt], folder: Path) -> dict[str, Any]:
    attempt = make(folder)
    signal.alarm(3 * LATE)
    resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))  # for the sake of the machine
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    before, began = peak(), time.process_time()
    try:
        said = f"accepted: {attempt()!r:.100}"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    return {"said": said, "seconds": time.process_time() - began, "mebibytes": peak() - before}


def peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, Any]]:
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # no library has spoken past Python
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["case"]: line for line in lines}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line(name: str, outcomes: dict[str, dict[str, Any]]) -> None:
    outcome = outcomes[name]
    assert outcome["status"] == 0, outcome
    kind, _, words = outcome["said"].partition(": ")
    assert kind in ("InputError", "ModelError", "SettingsError", "TrainingError"), outcome
    assert "\n" not in words
    assert re.search(CASES[name][1], words), words
    assert outcome["seconds"] < LATE
    assert outcome["mebibytes"] < MOST


def test_mutated_files_are_read_or_refused() -> None:
    """The beginning of the long run: `python tests/fuzz/mutate_files.py --count 20000 --seed 1`."""
    fuzz = Path(__file__).parent / "fuzz" / "mutate_files.py"
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, fuzz, "--count", "500", "--seed", "1"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.startswith("500 mutants of 25 kinds: ")


CROP = {"file": "real/a/1_0.png", "label": "real", "video": "a"}


@pytest.mark.parametrize(
    "change",
    [
        {"split": 1.5},
        {"method": {"a": 1}},
        {"frame": "1"},
        {"frame": 10**30},
        {"person": None},
        {"time": float("inf")},
        {"time": "soon"},
        {"box": [1, 2, 3, 10**400]},
        {"box": "abcd"},
        {"landmarks": [[1, True]]},
        {"file": "../a.png"},
    ],
    ids=str,
)
def test_a_crop_of_other_types_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Found by mutation: it was taken, and ended a later command."""
    from mesovid.dataset.manifest import read_dataset
    from mesovid.errors import DatasetError

    (tmp_path / "manifest.jsonl").write_text(json.dumps(CROP | change) + "\n")
    with pytest.raises(DatasetError, match=r"manifest.jsonl, line 1: ") as caught:
        read_dataset(tmp_path)
    assert "\n" not in str(caught.value)


def test_links_lead_nowhere_else(tmp_path: Path) -> None:
    from mesovid.batch import find_inputs

    folder, other = tmp_path / "inbox", tmp_path / "secret"
    folder.mkdir()
    other.mkdir()
    for place in (folder, other):
        (place / "a.mp4").write_bytes(b"\0")
    (folder / "file.mp4").symlink_to(other / "a.mp4")
    (folder / "folder").symlink_to(other)
    (folder / "up").symlink_to("..")
    told: dict[str, str] = {}
    found = find_inputs([str(folder)], on_skip=lambda path, why: told.update({path: why}))
    assert found == [str(folder / "a.mp4")]
    assert {Path(path).name for path in told} == {"file.mp4", "folder", "up"}
    assert len(find_inputs([str(folder)], follow_links=True)) == 3


@pytest.mark.parametrize("path", ["../../x.mp4", "/etc/x.mp4", "..", "a/..", "x" * 4000])
def test_outputs_stay_in_their_folder(tmp_path: Path, path: str, astronaut: np.ndarray) -> None:
    """What a result calls its video decides no place where something is written."""
    from click.testing import CliRunner
    from test_report import scan, written

    from mesovid.cli import cli
    from mesovid.records import Crop
    from mesovid.report.faces import FaceSaver

    here = tmp_path / "here"
    here.mkdir()
    results = here / "r.jsonl"
    one = scan(path, [0.9] * 6)
    results.write_text(written("jsonl", [one, one]))
    done = CliRunner().invoke(cli, ["report", str(results), "-o", str(here / "out"), "-q"])
    assert done.exit_code == 0, done.output
    face = np.ascontiguousarray(astronaut[:256, :256])
    crops = [Crop(each.index, each.time, each.face, each.person, face) for each in one.scores[:1]]
    FaceSaver(here / "out" / "faces")(path, crops, one.scores[:1])
    assert [each.name for each in tmp_path.iterdir()] == ["here"]
    assert sorted(each.name for each in here.iterdir()) == ["out", "r.jsonl"]
    assert len([each for each in (here / "out").rglob("*") if each.suffix == ".png"]) >= 1


if __name__ == "__main__":
    main()
