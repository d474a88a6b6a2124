"""`mesovid explain`: a page, pictures and numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from mesovid.align import align
from mesovid.cli.explain import command
from mesovid.errors import MesovidError
from mesovid.explain.explainer import Explainer
from mesovid.explain.faithfulness import Faithfulness, figures_of, keep, trial
from mesovid.explain.telling import Gathering, TellingFace
from mesovid.models.card import available
from mesovid.opencv import cv2
from mesovid.settings import Geometry, RuntimeSettings

CPU = RuntimeSettings(device="cpu", threads=1)
LANDMARKS = np.array([(204, 110), (248, 112), (228, 142), (202, 154), (244, 156)], np.float32)
NASTY = "<img src=x onerror=alert(1)> \u202e'&\".png"


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> np.ndarray:
    return align(astronaut, LANDMARKS, Geometry())


def save(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return path


def explain(*words: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, words), "--device", "cpu", "--threads", "1"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, face: np.ndarray) -> Path:
    """Two faces in a folder, one by an evil name and one of another size, explained."""
    folder = tmp_path_factory.mktemp("explain")
    crops = folder / "crops"
    crops.mkdir()
    save(crops / NASTY, face)
    save(crops / "b.png", cv2.resize(face, (200, 200)))
    result = explain(crops, "-o", folder / "new" / "out", "--crops")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(folder / "new" / "out" / "index.html")
    return folder / "new" / "out"


class TestFolder:
    def test_holds_a_page_pictures_and_numbers(self, made: Path) -> None:
        files = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
        layers = [f"conv{n}.png" for n in range(1, 5)]
        each = ["face.png", "occlusion.png", "split.png", "maps.npz", *layers]
        assert files == {
            "index.html",
            "explanation.json",
            "filters/filters.npz",
            *(f"filters/{name}" for name in layers),
            *(f"face-{n}/{name}" for n in (1, 2) for name in each),
        }
        assert not list(made.parent.glob(".*"))

    def test_numbers_are_the_explainers(self, made: Path, face: np.ndarray) -> None:
        explainer = Explainer("meso4", CPU)
        found = json.loads((made / "explanation.json").read_text(encoding="utf-8"))
        number, entry = next(
            (n, e) for n, e in enumerate(found["faces"], 1) if e["path"].endswith(NASTY)
        )
        occlusion, split = explainer.occlusion(face, 8, "blur"), explainer.split(face)
        assert split is not None
        np.testing.assert_allclose(entry["occlusion"]["cells"], occlusion.cells, atol=1e-5)
        np.testing.assert_allclose(entry["split"]["cells"], split.cells, atol=1e-5)
        assert sum(entry["split"]["shares"].values()) + entry["split"]["bias"] == pytest.approx(
            entry["logit"], abs=1e-4
        )
        assert entry["fake_probability"] == pytest.approx(
            explainer.fake_probability(entry["logit"]), abs=1e-6
        )
        (seen,) = explainer.activations(face[None], ["conv3"], ["activated"])
        with np.load(made / f"face-{number}" / "maps.npz") as maps:
            assert set(maps) == {
                "conv1.activated",
                "conv2.activated",
                "conv3.activated",
                "conv4.activated",
                "dense1.activated",
                "logit.raw",
            }
            np.testing.assert_allclose(
                maps["conv3.activated"], seen.maps["activated"][0], atol=1e-4
            )
        with np.load(made / "filters" / "filters.npz") as filters:
            np.testing.assert_array_equal(filters["conv2"], explainer.filters("conv2"))

    def test_the_crop_is_kept_as_it_is(self, made: Path, face: np.ndarray) -> None:
        kept = [cv2.imread(str(made / f"face-{n}" / "face.png"))[..., ::-1] for n in (1, 2)]
        assert any((each == face).all() for each in kept)


class TestPage:
    def test_needs_nothing_else(self, made: Path) -> None:
        page = (made / "index.html").read_text(encoding="utf-8")
        assert "<script" not in page
        assert not re.findall(r"(?:src|href)=\"(?!data:image/webp;base64,)", page)
        assert not re.findall(r"url\(|@import|https?://", page)

    def test_shows_names_as_text(self, made: Path) -> None:
        page = (made / "index.html").read_text(encoding="utf-8")
        assert "<img src=x" not in page
        assert "&lt;img src=x onerror=alert(1)&gt; \\u202e&#x27;&amp;&quot;.png" in page

    def test_says_what_is_dead_and_where_the_score_lies(self, made: Path) -> None:
        page = (made / "index.html").read_text(encoding="utf-8")
        assert re.search(r'<th scope="row">conv1</th>.*?<td>[\d, ]*\b4\b[\d, ]*</td>', page)
        assert (
            len(re.findall(r"P\(fake\) 0\.\d{3}: (called fake|called real|uncertain), ", page)) == 2
        )
        assert "16 units" in page

    def test_says_beside_each_map_how_far_to_trust_it(self, made: Path) -> None:
        page = (made / "index.html").read_text(encoding="utf-8")
        measured = figures_of(Explainer("meso4", CPU).ref.sha256)
        words = [
            each.sentence()
            for key, each in measured.items()
            if key in (("occlusion blur", "mean"), ("split", "mean"))
        ]
        for sentence in words or ["was not measured for this network"]:
            assert sentence in page


class TestCommand:
    def test_finds_the_face_of_a_picture(self, tmp_path: Path, astronaut: np.ndarray) -> None:
        picture = save(tmp_path / "portrait.png", astronaut)
        result = explain(
            picture,
            "-o",
            tmp_path / "out",
            "--model",
            "mesoinception4",
            "--stage",
            "pooled",
            "--cells",
            "4",
        )
        assert result.exit_code == 0, result.output
        found = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
        (entry,) = found["faces"]
        assert (entry["time"], entry["person"]) == (None, 0)
        assert np.array(entry["occlusion"]["cells"]).shape == (4, 4)
        with np.load(tmp_path / "out" / "face-1" / "maps.npz") as maps:
            assert {"concat1.pooled", "conv1.raw"} <= set(maps)

    def test_what_cannot_be_looked_at_is_named_and_the_rest_is_shown(
        self, tmp_path: Path, face: np.ndarray
    ) -> None:
        good, wide = save(tmp_path / "good.png", face), save(tmp_path / "wide.png", face[:100])
        (tmp_path / "broken.png").write_bytes(b"no picture")
        result = explain(
            good,
            wide,
            tmp_path / "broken.png",
            tmp_path / "gone.png",
            "-o",
            tmp_path / "out",
            "--crops",
        )
        assert result.exit_code == 1
        lines = result.stderr.strip().splitlines()
        assert [line.split(": ")[0] for line in lines] == ["mesovid"] * 3
        assert "256x100 px; faces that are already cut are square" in result.stderr
        page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
        assert "Not looked at" in page
        assert "gone.png: no such file" in page

    def test_no_face_is_said_and_nothing_is_written(self, tmp_path: Path) -> None:
        plain = save(tmp_path / "plain.png", np.full((256, 256, 3), 90, np.uint8))
        result = explain(plain, "-o", tmp_path / "out")
        assert result.exit_code == 1
        assert "no face found in" in result.stderr
        assert "--crops" in result.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("prepare", "says"),
        [
            (lambda out: (out.mkdir(), (out / "x").touch()), "is not empty; name a new folder"),
            (lambda out: out.touch(), "is no folder; name a new one"),
            (lambda out: out.parent.joinpath("file").touch(), "cannot write"),
        ],
        ids=["full", "file", "below-a-file"],
    )
    def test_an_output_in_the_way_is_refused(
        self, prepare, says: str, tmp_path: Path, face: np.ndarray
    ) -> None:  # type: ignore[no-untyped-def]
        out = tmp_path / "out"
        prepare(out)
        if says == "cannot write":
            out = tmp_path / "file" / "out"
        picture = save(tmp_path / "face.png", face)
        before = sorted(tmp_path.iterdir())
        result = explain(picture, "-o", out, "--crops")
        assert isinstance(result.exception, MesovidError)
        assert says in str(result.exception)
        assert "\n" not in str(result.exception)
        assert sorted(tmp_path.iterdir()) == before

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (["--model", "nope"], "no model 'nope'"),
            (["--show", "0"], "it must be at least 1"),
            (["--cells", "33"], "it must be at most 32"),
            (["--fill", "black"], "'black' is not one of"),
        ],
    )
    def test_options_out_of_range_are_refused(
        self, words: list[str], says: str, tmp_path: Path, face: np.ndarray
    ) -> None:
        picture = save(tmp_path / "face.png", face)
        result = explain(picture, "-o", tmp_path / "out", "--crops", *words)
        assert result.exit_code != 0
        assert says in (result.stderr or "") + str(result.exception)
        assert not (tmp_path / "out").exists()


def telling(probability: float, side: float | None = None) -> TellingFace:
    box = None if side is None else (0.0, 0.0, side, side)
    return TellingFace("clip.mp4", np.zeros((1, 1, 3), np.uint8), probability, 0.0, 0, box)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 9))
def test_the_ends_are_kept_whatever_the_order(scores: list[float], most: int) -> None:
    gathering = Gathering(most)
    for score in scores:
        gathering.add(telling(score))
    chosen = [face.fake_probability for face in gathering.chosen()]
    ordered = sorted(scores, reverse=True)
    low = most // 2
    assert chosen == (
        ordered if len(scores) <= most else ordered[: most - low] + ordered[len(scores) - low :]
    )
    assert len(gathering.sample()) == min(len(scores), 32)


def test_faces_that_are_too_small_come_last() -> None:
    gathering = Gathering(2, smallest_face=80)
    for probability, side in ((0.99, 40), (0.5, 100), (0.1, 120), (0.01, 30)):
        gathering.add(telling(probability, side))
    assert [face.side for face in gathering.chosen()] == [100, 120]
    small = Gathering(2, smallest_face=80)
    small.add(telling(0.9, 30))
    assert [face.side for face in small.chosen()] == [30]


class TestFaithfulness:
    def test_a_trial_covers_what_a_map_names(self, face: np.ndarray) -> None:
        """The covers that occlusion names are its own operation: they must move the answer more
        than most.
        """
        explainer = Explainer("meso4", CPU)
        found = trial(explainer, face, np.random.default_rng(0))
        assert set(found.named) == {
            (method, cover)
            for method in ("occlusion mean", "occlusion blur", "split")
            for cover in ("mean", "blur")
        }
        for cover in ("mean", "blur"):
            assert found.named[f"occlusion {cover}", cover] > np.quantile(found.random[cover], 0.9)

    def test_figures_belong_to_one_network(self, tmp_path: Path) -> None:
        figure = Faithfulness("split", "mean", 200, 0.91, 0.88, 0.94, 0.5, 0.1, "somewhere")
        file = tmp_path / "figures.json"
        keep("aa", [figure], file)
        keep("bb", [], file)
        assert json.loads(file.read_text()) == {
            "aa": [
                {
                    "method": "split",
                    "cover": "mean",
                    "faces": 200,
                    "better": 0.91,
                    "low": 0.88,
                    "high": 0.94,
                    "change": 0.5,
                    "random": 0.1,
                    "data": "somewhere",
                }
            ],
            "bb": [],
        }
        assert figures_of("of no network") == {}

    def test_those_that_ship_are_well_formed(self) -> None:
        for card in available():
            for (method, cover), each in figures_of(card.sha256.get("onnx", "")).items():
                assert (each.method, each.cover) == (method, cover)
                assert each.faces >= 200
                assert 0 <= each.low <= each.better <= each.high <= 1
