"""The manifest goes there and back, and checks find every planted fault.

Merging keeps where things came from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mesovid.cli.dataset import command
from mesovid.dataset.check import check_dataset
from mesovid.dataset.manifest import (
    CropEntry,
    Dataset,
    digest,
    from_line,
    read_dataset,
    to_line,
    write_card,
    write_manifest,
)
from mesovid.dataset.merge import merge
from mesovid.dataset.show import contact_sheet
from mesovid.errors import DatasetError, SettingsError
from mesovid.settings import Geometry

SIZE = 32
GEOMETRY = Geometry(size=SIZE)


def crop(split: str, label: str, video: str, frame: int = 0, **about: object) -> CropEntry:
    file = f"{split}/{label}/{video}/{frame:06d}_0.png"
    return CropEntry(file=file, label=label, video=video, frame=frame, split=split, **about)  # type: ignore[arg-type]


SOUND = [
    crop("train", "real", "a", 0, target="1", collection="ffpp"),
    crop("train", "real", "a", 7, target="1", collection="ffpp"),
    crop(
        "train", "fake", "b", 0, method="X", original="a", target="1", source="2", collection="ffpp"
    ),
    crop("test", "real", "c", 0, target="3", collection="ffpp", confidence=0.99),
    crop(
        "test",
        "fake",
        "d",
        0,
        method="Y",
        original="c",
        box=(0.0, 1.5, 20.0, 21.0),
        collection="ffpp",
    ),
]


def write(root: Path, crops: list[CropEntry], geometry: Geometry = GEOMETRY) -> Path:
    dice = np.random.default_rng(0)
    for entry in crops:
        (root / entry.file).parent.mkdir(parents=True, exist_ok=True)
        image = dice.integers(0, 255, (geometry.size, geometry.size, 3), np.uint8)
        assert cv2.imwrite(str(root / entry.file), image)
    write_manifest(root, crops)
    write_card(root, geometry=geometry, layout="ffpp", settings={"frames": 3}, crops=crops)
    return root


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write(tmp_path / "set", SOUND)


def errors(root: Path) -> list[str]:
    return [str(finding) for finding in check_dataset(read_dataset(root)).errors]


def change(root: Path, **changes: Callable[[CropEntry], CropEntry]) -> None:
    """Rewrite the manifest with the crops of some videos changed."""
    crops = read_dataset(root).crops
    write_manifest(root, [changes.get(entry.video, lambda same: same)(entry) for entry in crops])


def test_a_crop_goes_there_and_back() -> None:
    full = replace(
        SOUND[4], landmarks=tuple((float(i), 2.5) for i in range(5)), time=0.25, group="g"
    )
    for entry in (*SOUND, full):
        assert from_line(to_line(entry)) == entry


def test_a_dataset_goes_there_and_back(sound: Path) -> None:
    dataset = read_dataset(sound)
    assert dataset.crops == tuple(sorted(SOUND, key=lambda entry: entry.file))
    assert (dataset.geometry, dataset.layout, dataset.settings) == (GEOMETRY, "ffpp", {"frames": 3})
    assert dataset.splits == ("test", "train")
    assert len(dataset.of_split("train")) == 3
    assert all(dataset.path(entry).is_file() for entry in dataset.crops)


def test_the_digest_knows_the_crops_and_not_the_place(sound: Path, tmp_path: Path) -> None:
    before = digest(read_dataset(sound))
    assert digest(read_dataset(write(tmp_path / "copy", SOUND[::-1]))) == before
    change(sound, d=lambda entry: replace(entry, label="real"))
    assert digest(read_dataset(sound)) != before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 6: "),
        ("[]", "line 6: expected an object, found list"),
        ('{"file": "x.png", "label": "real"}', "line 6: no 'video'"),
        ('{"file": "x.png", "label": "cat", "video": "x"}', "label 'cat' is neither real nor fake"),
        ('{"file": "x.png", "label": "real", "video": "x", "box": [1, 2]}', "line 6: "),
        (
            '{"file": "../x.png", "label": "real", "video": "x"}',
            "file '../x.png' leads out of the dataset",
        ),
        (
            '{"file": "/x.png", "label": "real", "video": "x"}',
            "file '/x.png' leads out of the dataset",
        ),
    ],
)
def test_a_damaged_manifest_names_the_line(sound: Path, line: str, message: str) -> None:
    with (sound / "manifest.jsonl").open("a") as manifest:
        manifest.write(line + "\n")
    with pytest.raises(DatasetError, match=message):
        read_dataset(sound)


def test_a_manifest_in_another_encoding_is_read(sound: Path) -> None:
    before = digest(read_dataset(sound))
    for name in ("manifest.jsonl", "dataset.json"):
        text = (sound / name).read_text(encoding="utf-8")
        (sound / name).write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    assert digest(read_dataset(sound)) == before


def test_names_that_are_no_utf_8_go_there_and_back(tmp_path: Path) -> None:
    entry = crop("train", "real", os.fsdecode(b"caf\xe9"))
    assert from_line(to_line(entry)) == entry
    write_manifest(tmp_path, [entry])
    assert b"caf\\udce9" in (tmp_path / "manifest.jsonl").read_bytes()
    assert read_dataset(tmp_path).crops == (entry,)
    assert len(digest(read_dataset(tmp_path))) == 64


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no dataset at"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no dataset at"):
        read_dataset(tmp_path / ("n" * 300))
    with pytest.raises(DatasetError, match="holds no crop"):
        read_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text('{"schema": 99}')
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(DatasetError, match="schema 99"):
        read_dataset(tmp_path)


def test_class_folders_of_others_are_a_dataset(tmp_path: Path) -> None:
    for name in ("train/df/044_945_1.png", "train/real/044_7.png", "test/real/clip/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    dataset = read_dataset(tmp_path)
    assert dataset.geometry is None
    assert [(c.label, c.split, c.video, c.group) for c in dataset.crops] == [
        ("real", "test", "test/real/clip", "real/clip"),
        ("fake", "train", "train/df/044_945", "df/044_945"),
        ("real", "train", "train/real/044", "real/044"),
    ]
    assert dataset.crops[1].original == "train/real/044"


def test_a_sound_dataset_has_no_findings(sound: Path) -> None:
    assert check_dataset(read_dataset(sound)).findings == ()


def _move_line(entry: CropEntry) -> CropEntry:
    return replace(entry, label="real", file=entry.file.replace("/fake/", "/real/"))


def plant_missing_file(root: Path) -> None:
    (root / SOUND[0].file).unlink()


def plant_truncated_png(root: Path) -> None:
    file = root / SOUND[0].file
    file.write_bytes(file.read_bytes()[:-40])


def plant_flipped_bit(root: Path) -> None:
    content = bytearray((root / SOUND[0].file).read_bytes())
    content[len(content) // 2] ^= 4
    (root / SOUND[0].file).write_bytes(content)


def plant_empty_file(root: Path) -> None:
    (root / SOUND[0].file).write_bytes(b"")


def plant_wrong_label(root: Path) -> None:
    change(root, d=lambda entry: replace(entry, label="real"))


def plant_wrong_split(root: Path) -> None:
    change(
        root, b=lambda entry: replace(entry, split="test", original=None, target=None, source=None)
    )


def plant_leaked_original(root: Path) -> None:
    change(root, d=lambda entry: replace(entry, original="a"))


def plant_leaked_sibling(root: Path) -> None:
    change(
        root,
        b=lambda entry: replace(entry, original="z"),
        d=lambda entry: replace(entry, original="z"),
    )


def plant_leaked_identity(root: Path) -> None:
    change(root, d=lambda entry: replace(entry, source="2"))


def plant_leaked_group(root: Path) -> None:
    change(
        root, a=lambda entry: replace(entry, group="g"), c=lambda entry: replace(entry, group="g")
    )


def plant_video_in_two_splits(root: Path) -> None:
    moved = SOUND[1].file.replace("train/", "test/")
    (root / moved).parent.mkdir(parents=True)
    (root / SOUND[1].file).rename(root / moved)
    change(
        root,
        a=lambda entry: replace(entry, split="test", file=moved) if entry.frame == 7 else entry,
    )


def plant_same_picture_in_two_splits(root: Path) -> None:
    (root / SOUND[3].file).write_bytes((root / SOUND[0].file).read_bytes())


def plant_same_picture_of_two_labels(root: Path) -> None:
    (root / SOUND[2].file).write_bytes((root / SOUND[0].file).read_bytes())


def plant_wrong_size(root: Path) -> None:
    assert cv2.imwrite(str(root / SOUND[0].file), np.zeros((16, SIZE, 3), np.uint8))


def plant_double_line(root: Path) -> None:
    write_manifest(root, [*SOUND, SOUND[0]])


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (plant_missing_file, ["missing file: train/real/a/000000_0.png"]),
        (plant_truncated_png, ["damaged file: train/real/a/000000_0.png"]),
        (plant_flipped_bit, ["damaged file: train/real/a/000000_0.png"]),
        (plant_empty_file, ["damaged file: train/real/a/000000_0.png"]),
        (plant_wrong_label, ["wrong label: test/fake/d/000000_0.png (real in the manifest)"]),
        (plant_wrong_split, ["wrong split: train/fake/b/000000_0.png (test in the manifest)"]),
        (plant_leaked_original, ["leaked original: a (in test and train, 3 videos)"]),
        (plant_leaked_sibling, ["leaked original: z (in test and train, 2 videos)"]),
        (plant_leaked_identity, ["leaked identity: ffpp: 2 (in test and train, 2 videos)"]),
        (plant_leaked_group, ["leaked group: ffpp: g (in test and train, 2 videos)"]),
        (
            plant_same_picture_in_two_splits,
            ["leaked picture: test/real/c/000000_0.png (the same as train/real/a/000000_0.png)"],
        ),
        (
            plant_same_picture_of_two_labels,
            [
                (
                    "two labels: train/fake/b/000000_0.png (the same picture as "
                    "train/real/a/000000_0.png)"
                )
            ],
        ),
        (plant_wrong_size, ["wrong size: train/real/a/000000_0.png (32x16, not 32x32)"]),
        (plant_double_line, ["listed twice: train/real/a/000000_0.png"]),
    ],
)
def test_each_planted_fault_is_found(
    sound: Path, plant: Callable[[Path], None], found: list[str]
) -> None:
    plant(sound)
    assert errors(sound) == found
    result = CliRunner().invoke(command, ["check", str(sound)])
    assert result.exit_code == 1
    assert found[0].split(": ")[0] in result.output


def test_a_video_in_two_splits_is_found(sound: Path) -> None:
    plant_video_in_two_splits(sound)
    assert "leaked video: a (in test and train, 2 videos)" in errors(sound)


def test_a_truncated_jpeg_is_found_in_folders_of_others(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name in ("real/a.jpg", "fake/b.jpg"):
        (tmp_path / name).parent.mkdir()
        assert cv2.imwrite(str(tmp_path / name), image + (name[0] == "f"))
    content = (tmp_path / "real/a.jpg").read_bytes()
    (tmp_path / "real/a.jpg").write_bytes(content[: len(content) // 2])
    assert errors(tmp_path) == ["damaged file: real/a.jpg"]


def test_leaks_in_folders_of_others_are_found(tmp_path: Path) -> None:
    for i, name in enumerate(
        (
            "train/real/044_1.png",
            "test/fake/044_945_1.png",
            "test/real/777_1.png",
            "train/real/777_2.png",
        )
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(tmp_path / name), np.full((8, 8, 3), i, np.uint8))
    assert errors(tmp_path) == [
        "leaked original: train/real/044 (in test and train, 2 videos)",
        "leaked group: real/777 (in test and train, 2 videos)",
        "leaked identity: 044 (in test and train, 2 videos)",
        "leaked identity: 777 (in test and train, 2 videos)",
    ]


@pytest.mark.parametrize(
    ("video", "label", "warned"),
    [
        ("Deepfakes/real/r1", "fake", True),
        ("live/spoof/f1", "real", False),
        ("DFD/original/r1", "fake", True),
        ("manipulated_sequences/Deepfakes/c23/videos/000_003", "fake", False),
        ("real/Deepfakes/r1", "real", False),
        ("set/fake/f1", "real", True),
    ],
)
def test_labels_against_the_names_of_videos_are_told(
    tmp_path: Path, video: str, label: str, warned: bool
) -> None:
    other = crop("train", "fake" if label == "real" else "real", "b")
    root = write(tmp_path, [crop("train", label, video), other])
    found = [str(finding) for finding in check_dataset(read_dataset(root)).findings]
    assert found == ([f"named otherwise: {video} ({label} in the set)"] if warned else [])


def test_warnings_do_not_fail_a_check(sound: Path) -> None:
    (sound / "train/real/a/stray.png").write_bytes((sound / SOUND[0].file).read_bytes())
    result = CliRunner().invoke(command, ["check", str(sound)])
    assert result.exit_code == 0
    assert "unlisted file: 1" in result.output
    assert "0 errors, 1 warnings" in result.output


def test_merge_keeps_names_apart_and_says_where_from(sound: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", [replace(entry, collection="mine") for entry in SOUND])
    merged, leaks = merge([sound, other], tmp_path / "both")
    assert len(merged.crops) == 2 * len(SOUND)
    assert not leaks
    fake = next(c for c in merged.crops if c.video == "set/b")
    assert (fake.original, fake.collection, fake.split) == ("set/a", "ffpp", "train")
    assert {c.collection for c in merged.crops} == {"ffpp", "other/mine"}
    card = json.loads((tmp_path / "both" / "dataset.json").read_text())
    assert [entry["digest"] for entry in card["merged"]] == [
        digest(read_dataset(p)) for p in (sound, other)
    ]
    assert not [e for e in errors(tmp_path / "both") if "picture" not in e]


def test_merge_tells_leaks_between_its_sets(sound: Path, tmp_path: Path) -> None:
    turned = [replace(e, split="test", file=e.file.replace("train", "test")) for e in SOUND]
    _, leaks = merge([sound, write(tmp_path / "other", turned)], tmp_path / "both")
    assert [str(leak) for leak in leaks][:1] == ["identity ffpp: 1 is in test and train (4 videos)"]


def test_merge_refuses_what_does_not_fit(sound: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", SOUND, replace(GEOMETRY, scale=2.3))
    with pytest.raises(DatasetError, match=r"scale is 2\.96 in .*set, 2\.3 in .*other"):
        merge([sound, other], tmp_path / "both")
    with pytest.raises(DatasetError, match="at least two"):
        merge([sound], tmp_path / "both")
    with pytest.raises(DatasetError, match="given twice"):
        merge([sound, sound], tmp_path / "both")
    with pytest.raises(DatasetError, match="is not empty"):
        merge([sound, write(tmp_path / "third", SOUND)], other)


def test_show_prints_the_table_and_draws_a_sheet(sound: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = CliRunner().invoke(command, ["show", str(sound), "--sheet", str(sheet)])
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines()[1:6]] == [
        ["test", "fake", "Y", "1", "1"],
        ["test", "real", "-", "1", "1"],
        ["train", "fake", "X", "1", "1"],
        ["train", "real", "-", "1", "2"],
        ["all", "4", "5"],
    ]
    assert cv2.imread(str(sheet)).shape[1] == 10 * 128


def test_a_sheet_shows_the_faces_in_colour(tmp_path: Path) -> None:
    root = write(tmp_path, SOUND[:1])
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[..., 2] = 255
    assert cv2.imwrite(str(root / SOUND[0].file), red)
    dataset: Dataset = read_dataset(root)
    sheet = contact_sheet(dataset)
    assert sheet[80, 64].tolist() == [255, 0, 0]


def test_a_sheet_over_a_crop_is_refused(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "linked.png").hardlink_to(sound / SOUND[0].file)
    before = (sound / SOUND[0].file).read_bytes()
    for sheet in (
        tmp_path / "linked.png",
        sound / SOUND[0].file,
        sound / "manifest.jsonl",
        tmp_path / "a.mp4",
    ):
        result = CliRunner().invoke(command, ["show", str(sound), "--sheet", str(sheet)])
        assert isinstance(result.exception, SettingsError)
    assert (sound / SOUND[0].file).read_bytes() == before
