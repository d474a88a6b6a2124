"""Ready-made crops of which a part belongs to no class: every command says so and fails, and its
hint mends it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_evaluate import SIZE, write_model
from trees import write_files

from mesovid.cli import cli
from mesovid.dataset.manifest import read_dataset
from mesovid.dataset.sources import Options
from mesovid.errors import DatasetError

COMMANDS = ("check", "evaluate", "predict", "show")
# files, the table if there is one, and what the hints offer and mend
SETS = {
    "a third class": (["real/1.png", "fake/2.png", "notfake/3.png"], None, ["notfake=fake"]),
    "one class": (["bonafide/1.png", "spoof/2.png", "spoof/3.png"], None, ["spoof=fake"]),
    "below a folder": (["x/bonafide/1.png", "x/spoof/2.png"], None, ["x/spoof=fake"]),
    "by splits": (["test/real/1.png", "test/fake/2.png", "test/other/3.png"], None, ["other=real"]),
    "a word of a table": (
        ["a/1.png", "a/2.png"],
        "file;label\na/1.png;real\na/2.png;2\n",
        ["2=fake"],
    ),
    "numbers in a table": (
        ["1.png", "2.png"],
        "file,label\n1.png,0\n2.png,1\n",
        ["0=real", "1=fake"],
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def picture(path: Path) -> None:
    value = 40 * int(path.stem)
    assert cv2.imwrite(str(path), np.full((SIZE, SIZE, 3), value, np.uint8))


def run(command: str, model: Path, root: Path, *more: str) -> Result:
    words = {
        "check": ["dataset", "check", str(root)],
        "show": ["dataset", "show", str(root)],
        "evaluate": ["evaluate", str(model), str(root), "--resamples", "100"],
        "predict": ["predict", str(model), str(root)],
    }[command]
    return CliRunner().invoke(cli, [*words, *more])


@pytest.mark.parametrize(("files", "table", "mend"), SETS.values(), ids=SETS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_class_that_nobody_can_tell_is_told_until_it_is_mended(
    tmp_path: Path, model: Path, command: str, files: list[str], table: str | None, mend: list[str]
) -> None:
    root = write_files(tmp_path / "set", files, picture)
    if table is not None:
        (root / "manifest.csv").write_text(table)
        if command == "predict":
            pytest.skip("reads no tables")
    result = run(command, model, root)
    said = result.output + str(result.exception)
    assert result.exit_code == (0 if command == "show" and "digest" in said else 1), said
    for given in mend:
        assert f"--label {given}" in said
    labels = [word for given in mend for word in ("--label", given)]
    mended = run(command, model, root, *labels)
    assert mended.exit_code == 0, (mended.output, mended.exception)
    assert "--label" not in mended.output
    if command == "predict":
        assert "AUC" in mended.output
    left_out = [word for given in mend for word in ("--label", given.split("=")[0] + "=skip")]
    if len(mend) == 1 and command != "evaluate":
        assert run(command, model, root, *left_out).exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_a_method_of_reals_and_fakes_is_read_right(
    tmp_path: Path, model: Path, command: str
) -> None:
    files = [
        "Deepfakes/real/1.png",
        "Deepfakes/real/2.png",
        "Deepfakes/fake/3.png",
        "Deepfakes/fake/4.png",
    ]
    result = run(command, model, write_files(tmp_path / "set", files, picture))
    assert result.exit_code == 0, (result.output, result.exception)
    assert [crop.label for crop in read_dataset(tmp_path / "set").crops] == [
        "fake",
        "fake",
        "real",
        "real",
    ]


@pytest.mark.parametrize("command", ["check", "evaluate"])
@pytest.mark.parametrize(
    ("files", "table", "message"),
    [
        (["1.png"], "file,label\n1.png,real\n2.png,fake\n", "2.png: listed but absent"),
        (["1.png"], "file,label\n1.png,real\n1.png,real\n", "1.png: listed twice"),
        (["1.png", "2.mp4"], "file,label\n1.png,real\n2.mp4,fake\n", "2.mp4: is no picture"),
        (["1.png", "../2.png"], "file,label\n1.png,real\n../2.png,fake\n", "2.png: lies outside"),
        (["real/1.png", "fake/2.mp4"], None, "fake: 1 file being videos among pictures"),
        (["real/1.png", "fake/2.npy"], None, "fake: holds files, but no video or picture"),
    ],
)
def test_what_is_listed_or_named_and_cannot_be_read_is_told(
    tmp_path: Path, model: Path, command: str, files: list[str], table: str | None, message: str
) -> None:
    root = tmp_path / "set"
    write_files(root, [name for name in files if name.endswith(".png")], picture)
    write_files(root, [name for name in files if not name.endswith(".png")])
    if table:
        (root / "manifest.csv").write_text(table)
    result = run(command, model, root)
    said = (result.output + str(result.exception)).replace(" (", ": ")
    assert result.exit_code == 1
    assert message in said


def test_a_linked_class_elsewhere_is_told_until_it_is_followed(tmp_path: Path, model: Path) -> None:
    root = write_files(tmp_path / "set", ["real/1.png", "real/2.png"], picture)
    write_files(
        tmp_path / "pool",
        ["3.png", "._3.png"],
        lambda path: picture(path) if path.stem == "3" else None,
    )
    (tmp_path / "pool/._3.png").write_bytes(b"AppleDouble")
    (root / "fake").symlink_to(tmp_path / "pool")
    for command in COMMANDS[:3]:
        result = run(command, model, root)
        assert result.exit_code == 1, command
        assert "--follow-links" in result.output + str(result.exception)
        followed = run(command, model, root, "--follow-links")
        assert followed.exit_code == 0, (command, followed.output, followed.exception)
    dataset = read_dataset(root, Options(follow_links=True))
    assert [crop.file for crop in dataset.crops] == ["fake/3.png", "real/1.png", "real/2.png"]


@pytest.mark.parametrize(
    ("inputs", "labels"),
    [
        (["real", "spoof"], ["spoof=fake"]),
        (["real/1.png", "real/2.png", "spoof/3.png"], ["spoof=fake"]),
        ([""], ["spoof=fake"]),
        (["real", "spoof"], ["real=fake", "spoof=real"]),
    ],
)
def test_predict_takes_labels_by_hand_for_any_input(
    tmp_path: Path, model: Path, inputs: list[str], labels: list[str]
) -> None:
    root = write_files(tmp_path / "set", ["real/1.png", "real/2.png", "spoof/3.png"], picture)
    words = [word for label in labels for word in ("--label", label)]
    faces = [str(root / name) for name in inputs]
    result = CliRunner().invoke(cli, ["predict", str(model), *faces, *words, "--format", "csv"])
    assert result.exit_code == 0, (result.output, result.exception)
    truth = {
        Path(row["path"]).name: row["truth"] for row in csv.DictReader(io.StringIO(result.stdout))
    }
    turned = labels[0] == "real=fake"
    assert truth == {
        "1.png": "fake" if turned else "real",
        "2.png": "fake" if turned else "real",
        "3.png": "real" if turned else "fake",
    }
    everything = CliRunner().invoke(
        cli, ["predict", str(model), *faces, "--label", "fake", "--format", "csv"]
    )
    assert everything.stdout.count(",fake,\n") == 3


def test_predict_takes_a_datasets_labels_from_its_class_folders(
    tmp_path: Path, model: Path
) -> None:
    root = write_files(
        tmp_path / "set", ["test/real/live/1.png", "test/fake/original/2.png"], picture
    )
    with pytest.raises(DatasetError, match="fake means fake, but test/fake/original in it"):
        CliRunner().invoke(cli, ["predict", str(model), str(root)], catch_exceptions=False)
    (root / "dataset.json").write_text('{"schema": 1}')
    result = run("predict", model, root)
    assert result.exit_code == 0
    assert "AUC" in result.output
