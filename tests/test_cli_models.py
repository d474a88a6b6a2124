"""`mesovid models` and `mesovid completion`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mesovid.cli import cli
from mesovid.errors import ModelError, SettingsError
from mesovid.models.card import available


def run(*words: str | Path) -> Result:
    result = CliRunner().invoke(cli, ["models", *map(str, words)])
    if isinstance(result.exception, (ModelError, SettingsError)):
        raise result.exception
    return result


@pytest.mark.parametrize("words", [[], ["list"]])
def test_list_names_every_shipped_model(words: list[str]) -> None:
    output = run(*words).output
    assert "meso4" in [line.split()[0] for line in output.splitlines()]
    assert len(output.splitlines()) == len(available())


def test_show_prints_the_card() -> None:
    text = run("show", "meso4").output
    assert "architecture: meso4" in text
    assert "geometry:\n  scale:" in text


def test_show_as_json_is_the_card() -> None:
    card = json.loads(run("show", "meso4", "--format", "json").output)
    assert card["name"] == "meso4"
    assert 0 <= card["threshold"] <= 1


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"no model 'mseo4'; known: .*meso4"):
        run("show", "mseo4")


def test_weights_of_a_shipped_model_can_be_imported_again(tmp_path: Path) -> None:
    """A whole .keras file goes in; the same scores come out of what is written."""
    import numpy as np

    from mesovid.assets import trained_models
    from mesovid.models.card import read_card
    from mesovid.models.classifier import load_model

    card = read_card("meso4")
    file = trained_models() / "meso4.keras"
    result = run(
        "import",
        file,
        "--architecture",
        "meso4",
        "--output",
        card.output,
        "--activation",
        card.network.activation,
        "--name",
        "copy",
        "--to",
        tmp_path,
    )
    assert result.exit_code == 0
    faces = np.random.default_rng(0).integers(0, 256, (3, 256, 256, 3), np.uint8)
    np.testing.assert_allclose(
        load_model(tmp_path / "copy.json").raw(faces), load_model("meso4").raw(faces), atol=1e-4
    )


@pytest.mark.parametrize(
    ("architecture", "content", "says"),
    [
        ("meso5", b"", "no architecture 'meso5'; known: meso4"),
        ("meso4", b"not weights", "weights.h5"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, architecture: str, content: bytes, says: str
) -> None:
    file = tmp_path / "weights.h5"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=says):
        run("import", file, "--architecture", architecture, "--output", "real", "--to", tmp_path)
    assert list(tmp_path.iterdir()) == [file]


# P(real) of the published weights on their sample faces, resized bilinearly to 256 px (measured
# with Keras)
PUBLISHED = {
    "Meso4_DF": (0.0482, 0.0253, 0.9897, 0.9966),
    "Meso4_F2F": (0.8277, 0.6877, 0.8810, 0.9432),
    "MesoInception_DF": (0.0189, 0.0008, 1.0000, 1.0000),
    "MesoInception_F2F": (0.9992, 1.0000, 1.0000, 0.9991),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_give_their_published_scores(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    import cv2
    import numpy as np

    from mesovid.models.classifier import load_model

    folder = shared_data / "published-weights"
    architecture = "meso4" if name.startswith("Meso4") else "mesoinception4"
    run(
        "import",
        folder / f"{name}.h5",
        "--architecture",
        architecture,
        "--output",
        "real",
        "--to",
        tmp_path,
    )
    files = [
        *sorted((folder / "test_images/df").iterdir()),
        *sorted((folder / "test_images/real").iterdir()),
    ]
    faces = [
        cv2.resize(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB), (256, 256))
        for file in files
    ]
    fake = load_model(tmp_path / f"{name}.json")(np.stack(faces))
    np.testing.assert_allclose(1 - fake, PUBLISHED[name], atol=0.002)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_MESOVID_COMPLETE" in result.output


def test_an_import_never_takes_the_place_of_its_file(tmp_path: Path) -> None:
    from mesovid.assets import trained_models

    file = tmp_path / "mine.keras"
    file.write_bytes((trained_models() / "meso4.keras").read_bytes())
    (tmp_path / "linked.keras").hardlink_to(file)
    for name in ("mine", "linked"):
        words = ("import", file, "--architecture", "meso4", "--output", "fake", "--to", tmp_path)
        with pytest.raises(SettingsError, match=r"would take the place of the input .*mine\.keras"):
            run(*words, "--name", name)
    with pytest.raises(ModelError, match="cannot have the name 'up/mine'"):
        run(*words, "--name", "up/mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["linked.keras", "mine.keras"]


def test_a_model_is_published_whole_or_not_at_all(tmp_path: Path) -> None:
    """The disk is full after the first file: the model that was there before stays."""
    import resource

    from mesovid.models.classifier import load_model

    run("publish", "meso4", "--to", tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, before[1]))
    try:
        with pytest.raises(ModelError, match=r"cannot write the model meso4 to .*File too large"):
            run("publish", "meso4", "--to", tmp_path, "--summary", "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load_model(tmp_path).card.summary != "new"
    assert len(list(tmp_path.iterdir())) == 3
