"""Whether a face gets the same verdict however a file stores its pictures. Prints a markdown table.

    python benchmarks/representations.py FOLDER meso4 OUT.json       # the layout of FaceForensics++
    python benchmarks/representations.py FOLDER meso4 OUT.json --videos 10 --frames 8 --only sar pq

Of each original and each fake of --method some frames are taken and coded anew, without loss, once
for each representation. A player shows all of them alike, save for the turned ones. Each is scanned
and compared with the scan of the file itself, which looks at the same frames:

    lossless          the pictures as they are: the control
    turned N          pixels turned by N degrees anticlockwise; nothing in the file says so
    matrix ...        the other seven orientations of the display matrix of MP4, over pixels such
                      that a player shows them upright
    message ...       the same by the display orientation message of H.264
    size ...          a stream whose pictures change their size midway: from half to whole, or to
                      a frame twice as high
    sar A:B           pixels that are not square, resized so that a player shows the picture as it
                      was (2:1 loses half of the columns)
    pq, hlg           HDR of 10 bits, BT.2020: SDR white at 203 cd/m2, as ITU-R BT.2408 has it
    interlaced ...    two neighbouring frames woven into the fields of one, upper or lower first

Any change beyond the control's is the reader's fault, except where pixels were resampled, where
time passes between two fields, and where HDR was rounded. OUT.json holds every single figure. A
`crossed` verdict turned from real to fake or from fake to real.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mesovid.errors import InputError  # noqa: E402
from mesovid.opencv import cv2  # noqa: E402
from mesovid.scanner import Scanner  # noqa: E402
from mesovid.settings import SampleSettings  # noqa: E402
from mesovid.video import sample  # noqa: E402

Plane = npt.NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]  # Y, Cb, Cr; 4:2:0 or 4:4:4
Matrix = tuple[int, int, int, int]  # a, b, c, d of a display matrix: x' = ax + cy, y' = bx + dy

FPS = 10  # of the clips that are made
X264 = {"preset": "ultrafast", "qp": "0", "tune": "zerolatency"}  # options; nothing is lost
NEAR = 0.1  # of P(fake): a change that does not matter
SDR_WHITE, HLG_PEAK = 203.0, 1000.0  # cd/m2
BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)  # linear light; ITU-R BT.2087
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])


@dataclass(frozen=True, slots=True)
class Source:
    """Some frames of a video, each with its successor, and how their colours are coded."""

    path: Path
    frames: tuple[Planes, ...]
    next: tuple[Planes, ...]
    colours: dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, help="with original_sequences and manipulated_sequences"
    )
    parser.add_argument("model")
    parser.add_argument("out", type=Path, help="a JSON file")
    parser.add_argument("--method", default="Deepfakes", help="of the fakes; default Deepfakes")
    parser.add_argument("--videos", type=int, help="of each class; default all")
    parser.add_argument("--frames", type=int, default=16, help="of each video; default 16")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="representations whose name begins so"
    )
    given = parser.parse_args()
    names = [
        name for name in WAYS if not given.only or any(name.startswith(each) for each in given.only)
    ]
    classes = {
        "real": videos(given.folder / "original_sequences" / "youtube", given.videos),
        "fake": videos(given.folder / "manipulated_sequences" / given.method, given.videos),
    }
    if not names or not any(classes.values()):
        sys.exit(
            f"nothing to do: no videos in {given.folder}, or no representation of {', '.join(WAYS)}"
        )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scanner = Scanner(given.model, frames=given.frames)
        for kind, paths in classes.items():
            for path in paths:
                rows += compared(path, kind, names, scanner, Path(folder))
                print(
                    f"{len(rows) // (len(names) + 1)} of {sum(map(len, classes.values()))}",
                    end="\r",
                    file=sys.stderr,
                )
    values = {
        "model": scanner.classifier.ref.name,
        "frames": given.frames,
        "method": given.method,
        "rows": rows,
    }
    given.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    print(table(rows, names))


def videos(folder: Path, count: int | None) -> list[Path]:
    """The first so many videos, those of one compression."""
    return sorted(folder.glob("*/videos/*.mp4"))[:count]


def compared(
    path: Path, kind: str, names: Sequence[str], scanner: Scanner, folder: Path
) -> list[dict[str, Any]]:
    """A row for the file itself and for each representation of it."""
    source = read(path, scanner.options.sample.frames)
    rows = [
        {"video": path.stem, "label": kind, "representation": "upright"} | scanned(scanner, path)
    ]
    for name in names:
        clip = WAYS[name](source, folder)
        rows.append(
            {"video": path.stem, "label": kind, "representation": name} | scanned(scanner, clip)
        )
        clip.unlink()
    return rows


def scanned(scanner: Scanner, path: Path) -> dict[str, Any]:
    try:
        scan = scanner.scan(path)
    except InputError as error:
        return {"verdict": "error", "fake_probability": None, "faces": 0, "warnings": [str(error)]}
    return {
        "verdict": scan.verdict.label or "none",
        "fake_probability": scan.verdict.fake_probability,
        "faces": len(scan.scores),
        "warnings": list(scan.warnings),
    }


def table(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """One line for each representation and label."""
    upright = {
        (row["label"], row["video"]): row for row in rows if row["representation"] == "upright"
    }
    lines = [
        (
            "| | | real | uncertain | fake | none | crossed | within .1 | median change | largest "
            "| of |"
        ),
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for label in ("real", "fake"):
        for name in ("upright", *names):
            few = [row for row in rows if (row["label"], row["representation"]) == (label, name)]
            if few:
                lines.append(line(name, label, few, upright))
    return "\n".join(lines)


def line(
    name: str, label: str, rows: Sequence[dict[str, Any]], upright: dict[tuple[str, str], Any]
) -> str:
    counts = Counter(row["verdict"] for row in rows)
    none = len(rows) - sum(counts[each] for each in ("real", "uncertain", "fake"))
    before = [upright[label, row["video"]] for row in rows]
    crossed = sum(
        {a["verdict"], b["verdict"]} == {"real", "fake"} for a, b in zip(before, rows, strict=True)
    )
    changes = {
        row["video"]: row["fake_probability"] - was["fake_probability"]
        for was, row in zip(before, rows, strict=True)
        if None not in (was["fake_probability"], row["fake_probability"])
    }
    cells = [name, label, *(counts[each] for each in ("real", "uncertain", "fake")), none, crossed]
    if changes:
        worst = max(changes, key=lambda video: abs(changes[video]))
        sizes = [abs(change) for change in changes.values()]
        near = sum(size <= NEAR for size in sizes)
        cells += [
            f"{near} of {len(rows)}",
            f"{statistics.median(sizes):.3f}",
            f"{changes[worst]:+.3f}",
            worst,
        ]
    else:
        cells += ["0", "", "", ""]
    return f"| {' | '.join(map(str, cells))} |"


# --- frames of a video


def read(path: Path, count: int) -> Source:
    """The frames that a scan looks at."""
    with sample(path, SampleSettings(frames=count)) as sampling:
        chosen = [frame.index for frame in sampling]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = [planes(frame) for frame in container.decode(stream)]
        context = stream.codec_context
        colours = {
            key: int(getattr(context, key))
            for key in ("colorspace", "color_range", "color_primaries", "color_trc")
        }
    following = [min(i + 1, len(frames) - 1) for i in chosen]
    return Source(
        path, tuple(frames[i] for i in chosen), tuple(frames[i] for i in following), colours
    )


def planes(frame: av.VideoFrame) -> Planes:
    """Rows and columns of a multiple of eight, so that every representation can be coded."""
    name = "yuv444p" if frame.format.name in ("yuv444p", "yuvj444p") else "yuv420p"
    array = frame.to_ndarray(format=name)
    height, width = frame.height // 8 * 8, frame.width // 8 * 8
    if name == "yuv444p":
        y, cb, cr = (np.ascontiguousarray(plane[:height, :width]) for plane in array)
        return y, cb, cr
    chroma = array[frame.height :].reshape(2, frame.height // 2, frame.width // 2)
    cb, cr = (np.ascontiguousarray(plane[: height // 2, : width // 2]) for plane in chroma)
    return np.ascontiguousarray(array[:height, :width]), cb, cr


def pixel_format(frame: Planes) -> str:
    return "yuv444p" if frame[1].shape == frame[0].shape else "yuv420p"


def each(change: Callable[[Plane], Plane], frames: Iterable[Planes]) -> list[Planes]:
    """Every plane of every frame changed alike."""
    changed = ([np.ascontiguousarray(change(plane)) for plane in frame] for frame in frames)
    return [(y, cb, cr) for y, cb, cr in changed]


def resized(
    frames: Iterable[Planes], across: Fraction, down: Fraction = Fraction(1)
) -> list[Planes]:
    """Every plane resampled; luma to an even size, so that chroma has whole samples."""
    method = cv2.INTER_AREA if across * down < 1 else cv2.INTER_CUBIC

    def change(frame: Planes) -> Planes:
        luma = frame[0]
        width, height = (
            round(side * by / 2) * 2
            for side, by in zip(luma.shape[::-1], (across, down), strict=True)
        )
        part = luma.shape[0] // frame[1].shape[0]
        sizes = (width, height), (width // part, height // part), (width // part, height // part)
        y, cb, cr = (
            np.asarray(cv2.resize(plane, size, interpolation=method), np.uint8)
            for plane, size in zip(frame, sizes, strict=True)
        )
        return y, cb, cr

    return [change(frame) for frame in frames]


# --- clips


def coded(
    path: Path,
    parts: Sequence[Sequence[Planes]],
    colours: dict[str, int],
    sar: Fraction | None = None,
    options: Mapping[str, str] | None = None,
) -> Path:
    """Frames in H.264 without loss.

    Several parts make one stream, whose pictures may change their size (MPEG-TS).
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=X264 | dict(options or {}))
        contexts = [stream.codec_context]
        contexts += [av.CodecContext.create("libx264", "w") for _ in parts[1:]]
        time = 0
        for context, frames in zip(contexts, parts, strict=True):
            if context is not stream.codec_context:
                context.options = X264 | dict(options or {})
                context.framerate = Fraction(FPS)
            context.time_base = Fraction(1, FPS)
            context.height, context.width = frames[0][0].shape
            context.pix_fmt = pixel_format(frames[0])
            for key, value in colours.items():
                setattr(context, key, value)
            if sar is not None:
                context.sample_aspect_ratio = sar
            for packet in packets(context, frames, colours, time):
                packet.stream = stream
                container.mux(packet)
            time += len(frames)
    return path


def packets(
    context: Any, frames: Sequence[Planes], colours: dict[str, int], time: int
) -> Iterator[Any]:
    for number, (y, cb, cr) in enumerate(frames):
        frame = av.VideoFrame(y.shape[1], y.shape[0], pixel_format((y, cb, cr)))
        for plane, values in zip(frame.planes, (y, cb, cr), strict=True):
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : plane.width] = values
            plane.update(padded.tobytes())
        frame.pts, frame.time_base = time + number, Fraction(1, FPS)
        frame.colorspace, frame.color_range = colours["colorspace"], colours["color_range"]
        yield from context.encode(frame)
    yield from context.encode(None)


def lossless(source: Source, folder: Path) -> Path:
    return coded(folder / "lossless.mp4", [source.frames], source.colours)


def turned(quarters: int) -> Callable[[Source, Path], Path]:
    def way(source: Source, folder: Path) -> Path:
        frames = each(lambda plane: np.rot90(plane, quarters), source.frames)
        return coded(folder / f"turned{quarters}.mp4", [frames], source.colours)

    return way


def by_matrix(matrix: Matrix, stored: Callable[[Plane], Plane]) -> Callable[[Source, Path], Path]:
    """Pixels changed by `stored`, which the matrix of the track makes good."""

    def way(source: Source, folder: Path) -> Path:
        path = coded(folder / "matrix.mp4", [each(stored, source.frames)], source.colours)
        content = bytearray(path.read_bytes())
        start = content.index(b"tkhd") + 4 + 40  # box of version 0
        a, b, c, d = (value * 65536 for value in matrix)
        for position, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
            content[start + 4 * position : start + 4 * position + 4] = value.to_bytes(
                4, "big", signed=True
            )
        path.write_bytes(content)
        return path

    return way


def by_message(flip: str, stored: Callable[[Plane], Plane]) -> Callable[[Source, Path], Path]:
    """Pixels changed by `stored`, which an SEI message of the H.264 stream itself makes good."""

    def way(source: Source, folder: Path) -> Path:
        # key frames alone: the message stands before each of them
        plain = coded(
            folder / "plain.mp4", [each(stored, source.frames)], source.colours, options={"g": "1"}
        )
        path = folder / "message.mp4"
        with av.open(str(plain)) as given, av.open(str(path), "w") as container:
            stream = given.streams.video[0]
            copied = container.add_stream_from_template(stream)
            filtered = BitStreamFilterContext(
                f"h264_metadata=display_orientation=insert:{flip}", stream, copied
            )
            for packet in given.demux(stream):
                for changed in filtered.filter(packet if packet.dts is not None else None):
                    changed.stream = copied
                    container.mux(changed)
        plain.unlink()
        return path

    return way


def growing(source: Source, folder: Path) -> Path:
    middle = len(source.frames) // 2
    parts = [
        resized(source.frames[:middle], Fraction(1, 2), Fraction(1, 2)),
        source.frames[middle:],
    ]
    return coded(folder / "growing.ts", parts, source.colours)


def heightened(source: Source, folder: Path) -> Path:
    """The second half lies in the middle of a black frame of twice the height."""
    middle = len(source.frames) // 2

    def high(plane: Plane, black: int) -> Plane:
        above = plane.shape[0] // 4 * 2
        below = plane.shape[0] - above
        return np.pad(plane, ((above, below), (0, 0)), constant_values=black)

    parts = [
        source.frames[:middle],
        [(high(y, 16), high(cb, 128), high(cr, 128)) for y, cb, cr in source.frames[middle:]],
    ]
    return coded(folder / "heightened.ts", parts, source.colours)


def anamorphic(across: int, down: int) -> Callable[[Source, Path], Path]:
    """Pixels `across` : `down` as wide as high."""

    def way(source: Source, folder: Path) -> Path:
        sar = Fraction(across, down)
        return coded(folder / "sar.mp4", [resized(source.frames, 1 / sar)], source.colours, sar)

    return way


def interlaced(first: str) -> Callable[[Source, Path], Path]:
    """Each frame holds one picture in its first field and the next picture in the other.

    Fields are filled plane by plane, as cameras do.
    """

    def way(source: Source, folder: Path) -> Path:
        woven: list[Planes] = []
        for before, after in zip(source.frames, source.next, strict=True):
            fields = before if first == "tff" else after, after if first == "tff" else before
            y, cb, cr = (plane.copy() for plane in fields[0])
            for plane, lower in zip((y, cb, cr), fields[1], strict=True):
                plane[1::2] = lower[1::2]
            woven.append((y, cb, cr))
        return coded(
            folder / "interlaced.mp4",
            [woven],
            source.colours,
            options={"x264-params": f"{first}=1:qp=0"},
        )

    return way


# --- HDR


def hdr(transfer: str) -> Callable[[Source, Path], Path]:
    """HEVC of 10 bits in BT.2020, without loss but for the rounding."""

    def way(source: Source, folder: Path) -> Path:
        path = folder / f"{transfer}.mp4"
        curve, number = {"pq": (pq, 16), "hlg": (hlg, 18)}[transfer]
        with av.open(str(path), "w") as container:
            options = {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none"}
            stream = container.add_stream("libx265", rate=FPS, options=options)
            stream.height, stream.width = source.frames[0][0].shape
            stream.pix_fmt = "yuv420p10le"
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = (
                9,
                number,
                9,
                1,
            )
            for index, planes_ in enumerate(source.frames):
                frame = hdr_frame(rgb(planes_, source.colours), curve)
                frame.pts, frame.time_base = index, Fraction(1, FPS)
                frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = (
                    9,
                    number,
                    9,
                    1,
                )
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return way


def rgb(frame: Planes, colours: dict[str, int]) -> npt.NDArray[np.float64]:
    """RGB from 0 to 1, gamma-coded.

    Limited range, as all of FaceForensics++; BT.601 unless the file says BT.709.
    """
    y, cb, cr = (plane.astype(np.float64) for plane in frame)
    size = y.shape[1], y.shape[0]
    luma = (y - 16) / 219
    blue, red = (
        cv2.resize((plane - 128) / 224, size, interpolation=cv2.INTER_LINEAR) for plane in (cb, cr)
    )
    kr, kb = (0.2126, 0.0722) if colours["colorspace"] == 1 else (0.299, 0.114)
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=2), 0, 1)


def hdr_frame(picture: npt.NDArray[np.float64], curve: Callable[[Any], Any]) -> av.VideoFrame:
    light = (picture**2.4) @ BT709_TO_BT2020.T * SDR_WHITE  # cd/m2; a display of BT.1886
    signal = curve(np.clip(light, 0, None))
    luma = signal @ BT2020_LUMA
    blue, red = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    half = luma.shape[1] // 2, luma.shape[0] // 2
    chroma = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (blue, red)]
    frame = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p10le")
    for plane, values in zip(
        frame.planes, (64 + 876 * luma, *(512 + 896 * each_ for each_ in chroma)), strict=True
    ):
        padded = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        padded[:, : plane.width] = np.clip(np.rint(values), 0, 1023)
        plane.update(padded.tobytes())
    return frame


def pq(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Signal of light in cd/m2; SMPTE ST 2084."""
    power = (light / 10_000) ** (2610 / 16384)
    result: npt.NDArray[np.float64] = (
        (3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)
    ) ** (2523 / 32)
    return result


def hlg(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Signal of light in cd/m2 on a display of 1000 cd/m2; ITU-R BT.2100."""
    shown = light / HLG_PEAK
    luminance = np.maximum(shown @ BT2020_LUMA, 1e-9)[..., None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    bright = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


WAYS: dict[str, Callable[[Source, Path], Path]] = {
    "lossless": lossless,
    "turned 90": turned(1),
    "turned 180": turned(2),
    "turned 270": turned(3),
    "matrix 90": by_matrix((0, -1, 1, 0), lambda plane: np.rot90(plane, -1)),
    "matrix 180": by_matrix((-1, 0, 0, -1), lambda plane: np.rot90(plane, 2)),
    "matrix 270": by_matrix((0, 1, -1, 0), lambda plane: np.rot90(plane, 1)),
    "matrix mirror": by_matrix((-1, 0, 0, 1), np.fliplr),
    "matrix flip": by_matrix((1, 0, 0, -1), np.flipud),
    "matrix transpose": by_matrix((0, 1, 1, 0), np.transpose),
    "matrix transverse": by_matrix((0, -1, -1, 0), lambda plane: np.rot90(plane, 2).T),
    "message mirror": by_message("flip=horizontal", np.fliplr),
    "message 180": by_message("rotate=180", lambda plane: np.rot90(plane, 2)),
    "size grows": growing,
    "size of another shape": heightened,
    "sar 4:3": anamorphic(4, 3),
    "sar 16:11": anamorphic(16, 11),
    "sar 1:2": anamorphic(1, 2),
    "sar 2:1": anamorphic(2, 1),
    "pq": hdr("pq"),
    "hlg": hdr("hlg"),
    "interlaced, upper first": interlaced("tff"),
    "interlaced, lower first": interlaced("bff"),
}


if __name__ == "__main__":
    main()
