"""What folders mean: the innermost name counts, contradictions are errors, and every hint mends
what it is printed for."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import write_files

from mesovid.dataset.classes import Classes
from mesovid.dataset.labels import label_of, parse_labels
from mesovid.dataset.layouts import gather
from mesovid.dataset.manifest import read_dataset
from mesovid.dataset.sources import Options
from mesovid.errors import DatasetError
from mesovid.names import shown

# what a file's name begins with is its label
RIGHT = {
    "a method of reals and fakes": ["Deepfakes/real/r1", "Deepfakes/fake/f1"],
    "by other words": ["DFD/original/r1", "DFD/manipulated/f1"],
    "several methods": [
        "Deepfakes/real/r1",
        "Deepfakes/fake/f1",
        "FaceSwap/real/r2",
        "FaceSwap/fake/f2",
    ],
    "upper and lower case": ["NT/REAL/r1", "nt/Fake/f1"],
    "with numbers": ["DFD/0_real/r1", "DFD/1_fake/f1"],
    "a split above": ["train/Deepfakes/real/r1", "valid/Deepfakes/fake/f1"],
    "a split between": ["Deepfakes/train/real/r1", "Deepfakes/test/fake/f1"],
    "a split below": ["Deepfakes/real/train/r1", "Deepfakes/fake/valid/f1"],
    "a compression between": ["Deepfakes/c23/real/r1", "Deepfakes/c23/fake/f1"],
    "methods in a class": ["fake/Deepfakes/f1", "fake/mine/f2", "fake/f3", "real/r1"],
    "a class in a class": ["fake/fake_videos/f1", "real/r1"],
    "methods alone": ["Deepfakes/f1", "Face2Face/f2", "pristine/r1"],
}
CONTRADICTIONS = {
    "synthetic": (["synthetic/real/r1", "synthetic/fake/f1"], "synthetic", "synthetic/real"),
    "generated": (
        ["generated/bonafide/r1", "generated/spoof/f1"],
        "generated",
        "generated/bonafide",
    ),
    "reals of a method": (["real/Deepfakes/r1", "fake/f1"], "real", "real/Deepfakes"),
    "a fake among reals": (
        ["real_faces/fake/f1", "real_faces/r1"],
        "real_faces",
        "real_faces/fake",
    ),
    "below a split": (["x/train/live/FAKE/f1"], "x/train/live", "x/train/live/FAKE"),
    "far in": (["fake/a/b/original/r1", "fake/f1"], "fake", "fake/a/b/original"),
}
UNKNOWN = {
    "live": (["live/spoof/f1", "live/bonafide/r1"], ["live/spoof"]),
    "beside the classes": (["real/r1", "fake/f1", "notfake/f2"], ["notfake"]),
    "within a folder": (["data/real/r1", "data/fake/f1", "data/not fake/f2"], ["'data/not fake'"]),
    "within a split": (["train/real/r1", "train/fake/f1", "train/spoof/f2"], ["spoof"]),
    "one of two": (["x/bonafide/r1", "x/spoof/f1"], ["x/spoof"]),
    "loose in a method": (["DFD/real/r1", "DFD/fake/f1", "DFD/f2"], ["DFD/."]),
    "loose at the top": (["real/r1", "fake/f1", "f2"], ["."]),
    "another compression": (["DFD/c23/real/r1", "DFD/c40/f1"], ["DFD/c40"]),
    "folders of frames": (["real/v/r1", "spoof/v/f1", "spoof/w/f2"], ["spoof"]),
    "digits": (["0/r1", "1/f1"], ["0", "1"]),
    "a folder above all": (["data/a/r1", "data/b/f1"], ["data/a", "data/b"]),
    "a number that tells apart": (["0_x/r1", "1_x/f1"], ["0_x", "1_x"]),
}


def labels(files: list[str], texts: tuple[str, ...] = ()) -> dict[str, str | None]:
    """The label of each file by its folder."""
    places = {file: tuple(file.split("/")[:-1]) for file in files}
    classes = Classes.of(Path("D"), places.values(), parse_labels(texts))
    return {file: classes.at(place).label for file, place in places.items()}


def right(files: list[str]) -> dict[str, str | None]:
    return {file: "real" if file.rsplit("/", 1)[-1].startswith("r") else "fake" for file in files}


@pytest.mark.parametrize("files", RIGHT.values(), ids=RIGHT)
def test_the_innermost_name_counts(files: list[str]) -> None:
    assert labels(files) == right(files)


@pytest.mark.parametrize(("files", "outer", "inner"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_a_contradiction_names_both_folders(
    tmp_path: Path, files: list[str], outer: str, inner: str, suffix: str
) -> None:
    root = write_files(tmp_path, [file + suffix for file in files])
    with pytest.raises(DatasetError) as error:
        gather([root]) if suffix == ".mp4" else read_dataset(root)
    assert f"{outer} means" in str(error.value)
    assert f"{inner} in it means" in str(error.value)


@pytest.mark.parametrize("files", [*(entry[0] for entry in (CONTRADICTIONS | UNKNOWN).values())])
@pytest.mark.parametrize("suffix", [".mp4", ".png"])
def test_following_the_hints_gives_every_file_its_label(
    tmp_path: Path, files: list[str], suffix: str
) -> None:
    root = write_files(tmp_path, [file + suffix for file in files])
    given: list[str] = []
    for _ in range(4):
        options = Options(labels=parse_labels(tuple(given)))
        try:
            found = gather([root], options) if suffix == ".mp4" else read_dataset(root, options)
            said = " ".join(problem.why for problem in found.problems)
        except DatasetError as error:
            said = str(error)
        hints = re.findall(r"--label ('[^']*'|\S+)=real or --label \1=fake", said)
        if not hints:
            break
        for folder in dict.fromkeys(hint.strip("'") for hint in hints):
            own = [file for file in files if lies_in(file, folder)]
            assert len({right(own)[file] for file in own}) == 1, (folder, own)
            given.append(f"{folder}={right(own)[own[0]]}")
    read = (
        {str(source.files[0]): source.label for source in found.sources}
        if suffix == ".mp4"
        else {str(root / crop.file): crop.label for crop in found.crops}
    )
    assert read == {str(root / (file + suffix)): label for file, label in right(files).items()}
    assert not found.problems


def lies_in(file: str, folder: str) -> bool:
    """Whether a hint's folder, which leaves out the split, is the file's or above it."""
    place = (
        re.sub(r"(^|/)(train|valid|test)(?=/)", "", file).lstrip("/").rsplit("/", 1)[0]
        if "/" in file
        else ""
    )
    if folder.endswith("."):
        return place == folder.rstrip("/.")
    return f"{place}/".startswith(f"{folder}/")


@pytest.mark.parametrize(
    "name",
    [
        "not fake",
        "it's",
        "$HOME",
        "caf\udce9",
        "a\nb",
        "\x1b[31mred",
        "back\\slash'\u202e",
        "=x=",
        "-x",
    ],
)
def test_a_hint_can_be_pasted_into_a_shell(tmp_path: Path, name: str) -> None:
    root = write_files(tmp_path, ["real/1.png", f"{name}/2.png"])
    with pytest.raises(DatasetError) as error:
        read_dataset(root)
    said = re.search(r"(--label .*=fake) \(", shown(str(error.value)))
    assert said
    line = "printf '%s\\0' " + said[1].split(" or ")[-1]
    words = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout.split(
        b"\0"
    )
    assert words[0] == b"--label"
    options = Options(labels=parse_labels((os.fsdecode(words[1]),)))
    assert {crop.label for crop in read_dataset(root, options).crops} == {"real", "fake"}


@pytest.mark.parametrize(("files", "hints"), UNKNOWN.values(), ids=UNKNOWN)
def test_the_hint_names_the_folder_that_lacks_a_label(
    tmp_path: Path, files: list[str], hints: list[str]
) -> None:
    root = write_files(tmp_path, [f"{file}.png" for file in files])
    with pytest.raises(DatasetError) as error:
        read_dataset(root)
    said = [f"--label {hint}=real or --label {hint}=fake (=skip leaves it out)" for hint in hints]
    assert re.findall(r"--label .*?\)", str(error.value)) == said


def test_a_label_by_hand_wins_and_goes_for_all_below_it() -> None:
    files = ["x/bonafide/r1", "x/a/f1", "y/a/f2"]
    assert labels(files, ("x=fake", "x/bonafide=real", "y=fake")) == right(files)
    assert labels(["fake/masks/f1", "fake/f2"], ("fake/masks=skip",)) == {
        "fake/masks/f1": "skip",
        "fake/f2": "fake",
    }
    with pytest.raises(DatasetError, match="x means fake, but x/bonafide in it means real"):
        labels(files, ("x=fake", "y=fake"))
    assert labels(["a/b/f1", "b/r1"], ("./b=real", "a/b=fake")) == right(["a/b/f1", "b/r1"])
    assert labels(["a/f1", "real/f2"], ("fake",)) == right(["a/f1", "real/f2"])
    assert labels(["a/f1", "masks/f2"], ("fake", "masks=skip"))["masks/f2"] == "skip"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("x=real", "x=fake"), "two labels, real and fake"),
        (("skip",), "'skip' is unknown"),
        (("train=fake",), "no folder or class is called 'train'"),
        (("nothing/like/it=fake",), "no folder or class is called 'nothing/like/it'"),
    ],
)
def test_a_label_that_changes_nothing_is_refused(
    tmp_path: Path, texts: tuple[str, ...], message: str
) -> None:
    root = write_files(tmp_path, ["train/real/a.mp4", "train/x/b.mp4"])
    with pytest.raises(DatasetError, match=message):
        gather([root], Options(labels=parse_labels(texts)))


def test_a_label_is_refused_where_a_layout_knows_better(tmp_path: Path) -> None:
    root = write_files(tmp_path, ["Celeb-real/id0_0000.mp4", "mine/a.mp4"])
    with pytest.raises(DatasetError, match="no folder or class is called 'mine'"):
        gather([root], Options(labels={"mine": "fake"}))
    assert any("mine: 1 videos or pictures are no part" in note for note in gather([root]).notes)


words = st.sampled_from(["real", "fake", "Deepfakes", "live", "synthetic", "a", "b", "train"])


@given(st.lists(st.lists(words, min_size=1, max_size=4).map(tuple), min_size=1, max_size=6))
@settings(max_examples=300)
def test_no_label_goes_against_any_name_but_a_methods(places: list[tuple[str, ...]]) -> None:
    try:
        classes = Classes.of(Path("D"), places, {})
    except DatasetError:
        return
    for place in places:
        label = classes.at(place).label
        said = {label_of(name) for name in place if name != "Deepfakes"} - {None}
        assert label is None or said <= {label}
        assert label is None or said or "Deepfakes" in place
        assert len(said) < 2


def test_all_orders_of_folders_give_the_same() -> None:
    places = [("Deepfakes", "real"), ("Deepfakes",), ("Deepfakes", "x"), ("fake",)]
    results = set()
    for order in itertools.permutations(places):
        classes = Classes.of(Path("D"), order, {})
        results.add(tuple(classes.at(place).label for place in places))
    assert results == {("real", None, None, "fake")}
