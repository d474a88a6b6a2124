"""Collections are recognised by themselves, with right labels, originals, identities and splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import CELEBDF, FFPP, write_celebdf, write_dfdc, write_files

from mesovid.dataset import ffpp
from mesovid.dataset.class_folders import video_names
from mesovid.dataset.labels import label_of, parse_labels
from mesovid.dataset.layouts import LAYOUTS, Gathered, gather
from mesovid.dataset.sources import NotThisLayoutError, Options, Source, is_key
from mesovid.errors import DatasetError, InputError


def by_name(gathered: Gathered) -> dict[str, Source]:
    return {source.video.rsplit("/", 1)[-1]: source for source in gathered.sources}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("real", "real"),
        ("Original", "real"),
        ("pristine", "real"),
        ("0_real", "real"),
        ("REAL", "real"),
        ("fake", "fake"),
        ("df", "fake"),
        ("forged", "fake"),
        ("deepfake", "fake"),
        ("manipulated", "fake"),
        ("synthetic", "fake"),
        ("1_fake", "fake"),
        ("1-Fake", "fake"),
        ("Deepfakes", "fake"),
        ("Face2Face", "fake"),
        ("0", None),
        ("1", None),
        ("cats", None),
        ("", None),
    ],
)
def test_class_names_mean_what_the_table_says(name: str, label: str | None) -> None:
    assert label_of(name) == label


def test_a_label_of_ones_own_wins_over_the_table() -> None:
    assert label_of("cats", parse_labels(("Cats=real",))) == "real"
    assert label_of("fake", parse_labels(("fake=real",))) == "real"
    with pytest.raises(DatasetError, match="'cats=maybe' is unknown"):
        parse_labels(("cats=maybe",))


def test_ffpp(tmp_path: Path) -> None:
    gathered = gather([write_files(tmp_path, FFPP)])
    assert gathered.layout == "ffpp"
    assert len(gathered.sources) == len(FFPP)
    assert not gathered.problems
    fake = next(s for s in gathered.sources if s.method == "Face2Face")
    assert (fake.label, fake.target, fake.source) == ("fake", "000", "003")
    assert fake.original == "original_sequences/youtube/c23/videos/000"
    detection = by_name(gathered)["01_02__exit_phone_room__YVGY8LOK"]
    assert (detection.method, detection.target, detection.source) == (
        "DeepFakeDetection",
        "actor01",
        "actor02",
    )
    assert detection.original == "original_sequences/actors/c23/videos/01__exit_phone_room"
    assert detection.original in {source.video for source in gathered.sources}
    assert by_name(gathered)["010"].label == "real"


def test_ffpp_masks_are_no_videos_and_odd_names_are_told(tmp_path: Path) -> None:
    odd = "manipulated_sequences/Deepfakes/c23/videos/readme.mp4"
    masks = "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4"
    gathered = gather([write_files(tmp_path, [*FFPP, odd, masks])])
    assert len(gathered.sources) == len(FFPP)
    assert [Path(problem.name).name for problem in gathered.problems] == ["readme.mp4"]


def test_ffpp_folders_of_frames_are_videos(tmp_path: Path) -> None:
    frames = [f"original_sequences/youtube/c40/images/000/{i:04d}.png" for i in range(3)]
    (source,) = gather([write_files(tmp_path, frames)]).sources
    assert len(source.files) == 3
    assert source.target == "000"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("033", ("033", None, "033")),
        ("033_097", ("033", "097", "033")),
        ("01__walk_down_hall_angry", ("actor01", None, "01__walk_down_hall_angry")),
        ("01_20__walk__AB12CD34", ("actor01", "actor20", "01__walk")),
        ("0333", None),
        ("clip", None),
    ],
)
def test_ffpp_names(stem: str, name: tuple[str, str | None, str] | None) -> None:
    parsed = ffpp.parse(stem)
    assert (parsed and (parsed.target, parsed.source, parsed.original)) == name


def test_ffpp_official_pairs_beside_the_set(tmp_path: Path) -> None:
    root = write_files(tmp_path, FFPP)
    (root / "splits").mkdir()
    (root / "splits" / "train.json").write_text(json.dumps([["010", "011"]]))
    (root / "splits" / "val.json").write_text("[]")
    (root / "splits" / "test.json").write_text(json.dumps([["000", "003"]]))
    gathered = gather([root])
    splits = {source.video.rsplit("/", 1)[-1]: source.split for source in gathered.sources}
    assert splits["000"] == splits["003"] == splits["000_003"] == splits["003_000"] == "test"
    assert splits["010"] == "train"
    assert splits["01__exit_phone_room"] is None
    assert any("2 videos are in no list" in note for note in gathered.notes)


def test_split_lists_of_paths(tmp_path: Path) -> None:
    root = write_files(tmp_path / "set", FFPP)
    lists = tmp_path / "mine.json"
    lists.write_text(json.dumps({"val": [FFPP[0], FFPP[4]], "train": [FFPP[2], "gone.mp4"]}))
    gathered = gather([root], lists=lists)
    splits = {source.video: source.split for source in gathered.sources}
    assert splits[FFPP[0][:-4]] == splits[FFPP[4][:-4]] == "valid"
    assert splits[FFPP[2][:-4]] == "train"
    assert [(p.name, p.why) for p in gathered.problems] == [("gone", "listed for train but absent")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('{"train": "all"}', "is no split file"),
        ('{"train": [1]}', "neither a video's path nor a pair"),
        ('{"train": ["a.mp4"], "test": ["a.mp4"]}', "a is both in train and in test"),
    ],
)
def test_bad_split_lists_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        gather([write_files(tmp_path / "set", FFPP)], lists=tmp_path / "mine.json")


@pytest.mark.parametrize("level", ["", "videos/"])
def test_celebdf(tmp_path: Path, level: str) -> None:
    gathered = gather([write_celebdf(tmp_path, level=level)])
    assert gathered.layout == "celebdf"
    found = by_name(gathered)
    assert len(found) == len(CELEBDF)
    fake = found["id1_id0_0000"]
    assert (fake.label, fake.target, fake.source) == ("fake", "id1", "id0")
    assert fake.original == "Celeb-real/id1_0000"
    assert fake.split == found["id1_0000"].split == found["00170"].split == "test"
    assert found["id0_0000"].split == found["id0_id1_0000"].split == "train"
    assert found["00170"].target is None


def test_celebdf_below_one_videos_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "videos", CELEBDF)
    gathered = gather([tmp_path])
    assert len(gathered.sources) == len(CELEBDF)
    assert "official split is unknown" in gathered.notes[0]


def test_celebdf_list_that_contradicts_the_folders(tmp_path: Path) -> None:
    root = write_celebdf(tmp_path)
    (root / "List_of_testing_videos.txt").write_text(
        "0 YouTube-real/00170.mp4\n1 YouTube-real/99999.mp4\n"
    )
    gathered = gather([root])
    assert {p.name: p.why for p in gathered.problems} == {
        "YouTube-real/00170.mp4": "fake in List_of_testing_videos.txt, real by its folder",
        "YouTube-real/99999.mp4": "listed in List_of_testing_videos.txt but absent",
    }
    assert "00170" not in by_name(gathered)


def test_dfdc_parts(tmp_path: Path) -> None:
    gathered = gather([write_dfdc(tmp_path)])
    assert gathered.layout == "dfdc"
    found = by_name(gathered)
    assert found["bbbbbbbbbb"].label == "fake"
    assert (
        found["bbbbbbbbbb"].original == found["aaaaaaaaaa"].video == "dfdc_train_part_0/aaaaaaaaaa"
    )
    assert found["cccccccccc"].label == "real"
    assert found["cccccccccc"].original is None
    assert found["eeeeeeeeee"].original == "dfdc_train_part_1/gone"
    assert {source.split for source in gathered.sources} == {"train"}


def test_one_dfdc_part_alone_and_what_its_list_lacks(tmp_path: Path) -> None:
    part = write_dfdc(tmp_path) / "dfdc_train_part_1"
    (part / "dddddddddd.mp4").unlink()
    write_files(part, ["new.mp4"])
    gathered = gather([part])
    assert sorted(by_name(gathered)) == ["cccccccccc", "eeeeeeeeee"]
    assert sorted((Path(p.name).name, p.why) for p in gathered.problems) == [
        ("dddddddddd.mp4", "listed in metadata.json but absent"),
        ("new.mp4", "not in metadata.json, so that its label is unknown"),
    ]


@pytest.mark.parametrize("name", ["../outside.mp4", "/outside.mp4", "a/../../outside.mp4"])
@pytest.mark.parametrize(
    ("table", "written"),
    [
        ("metadata.json", lambda name: json.dumps({name: {"label": "FAKE", "original": "a.mp4"}})),
        ("dataset.json", lambda name: json.dumps({name: {"label": "fake", "set": "test"}})),
        ("labels.csv", lambda name: f"filename,label\n{name},1\n"),
    ],
    ids=["parts", "preview", "test set"],
)
def test_dfdc_s_lists_lead_nowhere_else(
    tmp_path: Path, table: str, written: Callable[[str], str], name: str
) -> None:
    root = write_files(tmp_path / "set", ["a.mp4"])
    write_files(tmp_path, ["outside.mp4"])
    (root / table).write_text(written(name if name[0] != "/" else str(tmp_path / name[1:])))
    try:
        found = gather([root])
    except DatasetError:
        return  # nothing is left of it
    assert all(file.is_relative_to(root) for source in found.sources for file in source.files)


def test_dfdc_s_odd_values_are_no_label_and_no_original(tmp_path: Path) -> None:
    root = write_files(tmp_path, ["a.mp4", "b.mp4", "c.mp4"])
    odd = {"a.mp4": {"is_fake": []}, "b.mp4": {"label": "FAKE", "original": {}}}
    (root / "metadata.json").write_text(json.dumps(odd | {"c.mp4": {"label": "REAL"}}))
    found = by_name(gather([root]))
    assert sorted(found) == ["b", "c"]
    assert found["b"].original is None


def test_dfdc_preview(tmp_path: Path) -> None:
    videos = {
        "original_videos/1/1_A_000.mp4": {"label": "real", "set": "test", "augmentations": []},
        "method_A/1/2/1_2_A.mp4": {"label": "fake", "set": "test", "target_id": 1, "swapped_id": 2},
    }
    write_files(tmp_path, list(videos))
    (tmp_path / "dataset.json").write_text(json.dumps(videos))
    found = by_name(gather([tmp_path]))
    real, fake = found["1_A_000"], found["1_2_A"]
    assert (real.label, real.split, real.target) == ("real", "test", "1")
    assert (fake.label, fake.method, fake.target, fake.source) == ("fake", "method_A", "1", "2")


def test_dfdc_test_set_one_is_fake(tmp_path: Path) -> None:
    write_files(tmp_path, ["test_videos/a.mp4", "test_videos/b.mp4"])
    (tmp_path / "labels.csv").write_text("filename,label\na.mp4,1\nb.mp4,0\nc.mp4,0\n")
    gathered = gather([tmp_path])
    assert {name: (s.label, s.split) for name, s in by_name(gathered).items()} == {
        "a": ("fake", "test"),
        "b": ("real", "test"),
    }
    assert gathered.problems[0].name == "c.mp4"


def test_class_folders_by_synonyms_with_and_without_splits(tmp_path: Path) -> None:
    files = ["train/0_real/a.mp4", "val/1_fake/b.mp4", "Deepfakes/test/c.mp4", "pristine/d.mp4"]
    found = by_name(gather([write_files(tmp_path, files)]))
    assert {name: (s.label, s.split, s.method) for name, s in found.items()} == {
        "a": ("real", "train", None),
        "b": ("fake", "valid", None),
        "c": ("fake", "test", "Deepfakes"),
        "d": ("real", None, None),
    }


def test_a_folder_nobody_can_label_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    root = write_files(tmp_path, ["real/a.mp4", "fake/b.mp4", "cats/c.mp4", "cats/d.mp4"])
    gathered = gather([root])
    assert len(gathered.sources) == 2
    (problem,) = gathered.problems
    assert problem.name.endswith("cats")
    assert "--label cats=real" in problem.why
    assert len(gather([root], Options(labels={"cats": "fake"})).sources) == 4


def test_one_label_for_a_plain_folder_of_pictures(tmp_path: Path) -> None:
    root = write_files(
        tmp_path, ["A_Cook_0001.jpg", "A_Gore_0008.jpg", "A_Gore_0009.jpg", "B_1.jpg"]
    )
    gathered = gather([root], Options(labels={"": "real"}))
    assert {s.video: len(s.files) for s in gathered.sources} == {"A_Cook": 1, "A_Gore": 2, "B": 1}
    assert {s.label for s in gathered.sources} == {"real"}


@pytest.mark.parametrize(
    ("files", "label", "videos"),
    [
        (["044_945_12.png", "044_945_13.png"], "fake", ["044_945", "044_945"]),
        (["044_945.png"], "fake", ["044_945"]),
        (["044_012.png", "044_013.png"], "real", ["044", "044"]),
        (
            ["face_0001.jpg", "face_0002.jpg", "face_0003.jpg"],
            "real",
            ["face_0001", "face_0002", "face_0003"],
        ),
        (["wz_1.jpg", "wz_2.jpg", "ab_1.jpg", "cd_1.jpg"], "fake", ["wz", "wz", "ab", "cd"]),
        (["id0_0000.png"], "real", ["id0_0000"]),
        (["id0_0000_7.png"], "real", ["id0_0000"]),
        (["00001.jpg", "00002.jpg"], "real", ["00001", "00002"]),
    ],
)
def test_pictures_belong_to_videos_by_name(files: list[str], label: str, videos: list[str]) -> None:
    assert video_names(files, label) == videos


def test_class_folders_named_as_in_ffpp_keep_originals(tmp_path: Path) -> None:
    root = write_files(tmp_path, ["real/044.mp4", "fake/044_945.mp4", "fake/123_456.mp4"])
    found = by_name(gather([root]))
    assert found["044_945"].original == "real/044"
    assert found["044_945"].source == "945"
    assert found["123_456"].original is None


def test_table_csv_and_jsonl(tmp_path: Path) -> None:
    write_files(tmp_path, ["v/a.mp4", "v/b.mp4", "v/c.mp4"])
    rows = [
        {"file": "v/a.mp4", "label": "pristine", "identity": "anna", "split": "validation"},
        {
            "file": "v/b.mp4",
            "label": "df",
            "original": "a.mp4",
            "method": "X",
            "group": "g",
            "split": "validation",
        },
        {"file": "v/c.mp4", "label": "FAKE", "original": "v/a"},
    ]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = by_name(gather([tmp_path / "list.jsonl"]))
    assert (found["a"].label, found["a"].target, found["a"].split) == ("real", "anna", "valid")
    assert (found["b"].label, found["b"].original, found["b"].method) == ("fake", "v/a", "X")
    assert found["c"].original == "v/a"
    (tmp_path / "manifest.csv").write_text("path,label,part\nv/a.mp4,real,7\nv/b.mp4,fake,7\n")
    assert [source.group for source in gather([tmp_path]).sources] == ["7", "7"]


def test_table_with_what_it_should_not_have(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.mp4", "b.mp4", "p1.png", "p2.png"])
    rows = "a.mp4,real,\na.mp4,real,\ngone.mp4,real,\nb.mp4,cat,\np1.png,real,v\np2.png,fake,v\n"
    (tmp_path / "manifest.csv").write_text("file,label,video\n" + rows)
    gathered = gather([tmp_path])
    assert [source.video for source in gathered.sources] == ["a"]
    whys = {p.name.rsplit("/", 1)[-1]: p.why for p in gathered.problems}
    assert whys["a.mp4"] == "listed twice"
    assert whys["gone.mp4"] == "listed but absent"
    assert "--label cat=real" in whys["manifest.csv: cat"]
    assert whys["v"] == "its rows give different values of label: fake and real"


@pytest.mark.parametrize(
    ("separator", "encoding", "end"),
    [
        *((separator, "utf-8", "\n") for separator in ",;\t|"),
        *(
            (";", encoding, "\r\n")
            for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
        ),
        (",", "utf-8", "\r"),
        (",", "utf-8", "\0"),
    ],
)
def test_a_table_is_read_whatever_wrote_it(
    tmp_path: Path, separator: str, encoding: str, end: str
) -> None:
    write_files(tmp_path, ["v/a,b;c.mp4", "v/d\u2028e.mp4"])
    rows = [
        ("File", "Label", "note"),
        ('"v/a,b;c.mp4"', "real", "x"),
        ("v/d\u2028e.mp4", "fake", ""),
    ]
    (tmp_path / "manifest.csv").write_bytes(
        end.join(separator.join(row) for row in rows).encode(encoding)
    )
    found = by_name(gather([tmp_path]))
    assert {name: source.label for name, source in found.items()} == {
        "a,b;c": "real",
        "d\u2028e": "fake",
    }


def test_a_table_may_say_its_separator_and_be_of_another_name(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.mp4", "b.mp4"])
    (tmp_path / "list.csv").write_text("sep=;\nlabel;path\nreal;a.mp4\nfake;b.mp4\n")
    (tmp_path / "manifest.tsv").write_text("label\tpath\nreal\tb.mp4\n")
    assert {name: s.label for name, s in by_name(gather([tmp_path / "list.csv"])).items()} == {
        "a": "real",
        "b": "fake",
    }
    assert by_name(gather([tmp_path]))["b"].label == "real"


@pytest.mark.parametrize(("between", "mark"), [("\n", "\ufeff"), ("\0", ""), ("\r\n\r\n", "")])
def test_jsonl_with_a_mark_or_nuls_is_read(tmp_path: Path, between: str, mark: str) -> None:
    write_files(tmp_path, ["a.mp4", "b\u2028.mp4"])
    rows = ['{"file": "a.mp4", "label": "real"}', '{"file": "b\u2028.mp4", "label": "fake"}']
    (tmp_path / "list.jsonl").write_text(mark + between.join(rows), encoding="utf-8", newline="")
    assert sorted(by_name(gather([tmp_path / "list.jsonl"]))) == ["a", "b\u2028"]


def test_paths_below_the_home_folder_and_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write_files(tmp_path, ["home/a.mp4", "set/b.mp4", "c.mp4", "d.mp4"])
    rows = [
        "file,label",
        "~/a.mp4,real",
        "b.mp4,real",
        "../c.mp4,fake",
        f"{tmp_path / 'd.mp4'},fake",
    ]
    (tmp_path / "set/manifest.csv").write_text("\n".join(rows))
    gathered = gather([tmp_path / "set"])
    assert not gathered.problems
    place = tmp_path.as_posix().removeprefix("/")
    assert {source.video: source.label for source in gathered.sources} == {
        f"{place}/home/a": "real",
        "b": "real",
        "up/c": "fake",
        f"{place}/d": "fake",
    }
    assert all(source.files[0].is_file() for source in gathered.sources)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.csv", "file,label\na.mp4,0\nb.mp4,1\n", "--label 0=real or --label 0=fake"),
        (
            "manifest.csv",
            "video;tag\na.mp4;real\n",
            "no column file or path .*; its columns: video, tag",
        ),
        ("manifest.csv", "file,label\na.mp4,\n", "row 1 has no label"),
        ("manifest.csv", "file,label\ngone.mp4,real\n", "is left: gone.mp4: listed but absent"),
        ("manifest.csv", f"file,label\n{'n' * 300}.mp4,real\n", "nnn.mp4: listed but absent"),
        ("manifest.jsonl", '{"file": "a.mp4"\n', "manifest.jsonl, line 1: "),
        ("manifest.csv", "", "manifest.csv lists nothing"),
    ],
)
def test_a_table_that_gives_nothing_says_what_is_wrong(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    write_files(tmp_path, ["a.mp4", "b.mp4"])
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError, match=message):
        gather([tmp_path])
    with pytest.raises(DatasetError, match=message):
        gather([tmp_path], layout="manifest")


def test_numbers_are_labels_once_they_are_told(tmp_path: Path) -> None:
    write_files(tmp_path, ["a.mp4", "b.mp4"])
    (tmp_path / "manifest.csv").write_text("file,label\na.mp4,0\nb.mp4,1\n")
    found = by_name(gather([tmp_path], Options(labels={"0": "real", "1": "fake"})))
    assert {name: source.label for name, source in found.items()} == {"a": "real", "b": "fake"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_official_lists_are_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    celeb = write_celebdf(tmp_path / "celeb")
    file = celeb / "List_of_testing_videos.txt"
    file.write_bytes(file.read_text().replace("\n", "\r\n").encode(encoding))
    dfdc = write_dfdc(tmp_path / "dfdc")
    for file in (
        dfdc / "dfdc_train_part_0/metadata.json",
        dfdc / "dfdc_train_part_1/metadata.json",
    ):
        file.write_bytes(file.read_text().encode(encoding))
    lists = tmp_path / "mine.json"
    lists.write_bytes(json.dumps({"dev": ["real/a.mp4"]}).encode(encoding))
    mine = write_files(tmp_path / "mine", ["real/a.mp4"])
    assert by_name(gather([celeb]))["00170"].split == "test"
    assert len(gather([dfdc]).sources) == 5
    assert by_name(gather([mine], lists=lists))["a"].split == "dev"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.png,real,../../a,train", "a: the video's name leads out"),
        ("a.png,real,/a,train", "/a: the video's name leads out"),
        ("a.png,real,v/../../../a,train", "a: the video's name leads out"),
        ("a.png,real,a,../../x", "split '../../x' is not the name of a folder"),
        ("a.png,real,a,/x", "split '/x' is not the name of a folder"),
    ],
)
def test_a_name_that_leads_out_of_the_dataset_is_refused(
    tmp_path: Path, rows: str, message: str
) -> None:
    write_files(tmp_path, ["a.png", "b.png"])
    (tmp_path / "manifest.csv").write_text(f"file,label,video,split\n{rows}\nb.png,fake,b,train\n")
    gathered = gather([tmp_path])
    assert [source.video for source in gathered.sources] == ["b"]
    assert message in " ".join(f"{problem.name}: {problem.why}" for problem in gathered.problems)


@pytest.mark.parametrize(
    "names", [FFPP, CELEBDF, ["real/a.mp4", "fake/b.mp4"]], ids=["ffpp", "celebdf", "folders"]
)
def test_links_and_hidden_files_are_treated_alike_in_all_layouts(
    tmp_path: Path, names: list[str]
) -> None:
    root = write_files(tmp_path / "set", names)
    hidden = [str(Path(name).with_name("._" + Path(name).name)) for name in names]
    write_files(root, hidden)
    assert len(gather([root]).sources) == len(names)
    first = names[0].split("/")[0]
    (root / first).rename(tmp_path / "elsewhere")
    (root / first).symlink_to(tmp_path / "elsewhere")
    gathered = gather([root])
    lost = sum(name.startswith(f"{first}/") for name in names)
    assert len(gathered.sources) == len(names) - lost
    assert "--follow-links" in next(p.why for p in gathered.problems if p.name == str(root / first))
    followed = gather([root], Options(follow_links=True))
    assert len(followed.sources) == len(names)
    assert not followed.problems
    (root / "inside").symlink_to(".")
    assert len(gather([root], Options(follow_links=True)).sources) == len(names)


@pytest.mark.parametrize("hard", [False, True])
def test_a_video_of_several_names_is_read_once(tmp_path: Path, hard: bool) -> None:
    root = write_files(
        tmp_path, ["pool/real/a.mp4", "pool/real/b.mp4", "pool/fake/c.mp4", "pool/fake/d.mp4"]
    )
    for name, file in (
        ("train/real/a.mp4", "pool/real/a.mp4"),
        ("train/fake/c.mp4", "pool/fake/c.mp4"),
        ("test/fake/e.mp4", "pool/fake/c.mp4"),
        ("test/real/d.mp4", "pool/fake/d.mp4"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).hardlink_to(root / file) if hard else (root / name).symlink_to(root / file)
    (root / "again").symlink_to("pool")
    gathered = gather([root])
    found = {source.video: (source.label, source.split) for source in gathered.sources}
    assert found == {
        "train/real/a": ("real", "train"),
        "again/real/b": ("real", None),
        "test/fake/e": ("fake", "test"),
    }
    assert sorted(problem.why for problem in gathered.problems) == [
        "one video of several labels, by links: fake as pool/fake/d and real as test/real/d",
        "one video of several splits, by links: test as test/fake/e and train as train/fake/c",
    ]
    assert "6 videos are there under another name" in " ".join(gathered.notes)


def test_a_preview_list_that_leads_out_of_the_set_is_told(tmp_path: Path) -> None:
    write_files(tmp_path, ["set/a/b.mp4", "out.mp4"])
    names = ["a/b.mp4", "../out.mp4", str(tmp_path / "out.mp4")]
    (tmp_path / "set/dataset.json").write_text(
        json.dumps({name: {"label": "fake"} for name in names})
    )
    gathered = gather([tmp_path / "set"])
    assert [source.video for source in gathered.sources] == ["a/b"]
    assert [problem.why for problem in gathered.problems] == [
        f"lies outside of {tmp_path / 'set'}"
    ] * 2


def test_a_picture_and_a_video_of_one_name_are_both_read(tmp_path: Path) -> None:
    files = [
        "real/a.mp4",
        "real/a.png",
        "real/b7.mp4",
        "real/b7_1.png",
        "real/b7_2.png",
        "fake/v/c.mp4",
        "fake/v/1.png",
    ]
    gathered = gather([write_files(tmp_path, files)])
    read = {source.video: [file.name for file in source.files] for source in gathered.sources}
    assert read == {
        "real/a": ["a.png"],
        "real/a.mp4": ["a.mp4"],
        "real/b7": ["b7_1.png", "b7_2.png"],
        "real/b7.mp4": ["b7.mp4"],
        "fake/v": ["1.png"],
        "fake/v/c": ["c.mp4"],
    }


def test_files_of_other_kinds_are_told(tmp_path: Path) -> None:
    gathered = gather(
        [
            write_files(
                tmp_path, ["real/a.mp4", "real/a.txt", "fake/b.mp4", "fake/b.json", "LICENCE"]
            )
        ]
    )
    assert gathered.notes == ("passed over, being of other kinds: 1 .json, 1 .txt, 1 no suffix",)


def test_a_table_that_goes_against_its_folders_is_told(tmp_path: Path) -> None:
    write_files(tmp_path, ["real/a.mp4", "fake/b.mp4", "Deepfakes/real/c.mp4"])
    rows = "real/a.mp4,1\nfake/b.mp4,0\nDeepfakes/real/c.mp4,0\n"
    (tmp_path / "manifest.csv").write_text(f"file,label\n{rows}")
    wrong = gather([tmp_path], Options(labels={"0": "real", "1": "fake"})).notes
    assert wrong == (
        "manifest.csv gives 2 of 3 files another label than their folders do;"
        " the first is real/a.mp4, fake in the table",
    )


def written(layout: str, root: Path) -> Path:
    """A collection in a layout."""
    if layout == "celebdf":
        return write_celebdf(root)
    if layout == "dfdc":
        return write_dfdc(root)
    write_files(root, FFPP if layout == "ffpp" else ["real/a.mp4", "fake/b.mp4"])
    if layout == "manifest":
        (root / "manifest.csv").write_text("file,label\nreal/a.mp4,real\nfake/b.mp4,fake\n")
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_every_layout_promises(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotThisLayoutError):
        LAYOUTS[name].read(tmp_path / "empty", Options())
    root = written(name, tmp_path / "set")
    collection = LAYOUTS[name].read(root, Options())
    assert collection.layout == gather([root]).layout == LAYOUTS[name].name == name
    assert {source.label for source in collection.sources} == {"real", "fake"}
    assert len({source.video for source in collection.sources}) == len(collection.sources)
    for source in collection.sources:
        assert is_key(source.video)
        assert all(file.is_file() and file.is_relative_to(root) for file in source.files)
        assert source.label == "fake" or source.original is source.source is source.method is None


def test_an_unknown_layout_says_what_was_tried(tmp_path: Path) -> None:
    write_files(tmp_path, ["cats/a.mp4"])
    with pytest.raises(DatasetError) as error:
        gather([tmp_path])
    for name in (
        "ffpp: no folder",
        "celebdf:",
        "manifest:",
        "dfdc:",
        "folders: no videos or pictures",
        "cats",
    ):
        assert name in str(error.value)
    with pytest.raises(DatasetError, match="not in layout celebdf: no folder Celeb-real"):
        gather([tmp_path], layout="celebdf")
    with pytest.raises(InputError, match="no such file or folder"):
        gather([tmp_path / "nowhere"])


def test_several_collections_keep_their_names_apart(tmp_path: Path) -> None:
    for name in ("one/videos", "two/videos"):
        write_files(tmp_path / name, ["real/a.mp4", "fake/a.mp4"])
    gathered = gather([tmp_path / "one/videos", tmp_path / "two/videos"])
    assert [source.video for source in gathered.sources] == [
        f"{set_}/{label}/a" for set_ in ("one_videos", "two_videos") for label in ("fake", "real")
    ]
    with pytest.raises(DatasetError, match="given twice"):
        gather([tmp_path / "one", tmp_path / "one"])
    with pytest.raises(DatasetError, match="lies in"):
        gather([tmp_path / "one", tmp_path / "one/videos"])


def test_videos_that_differ_in_suffix_alone_keep_it(tmp_path: Path) -> None:
    gathered = gather([write_files(tmp_path, ["real/a.mp4", "real/a.avi", "fake/b.mp4"])])
    assert sorted(s.video for s in gathered.sources) == ["fake/b", "real/a.avi", "real/a.mp4"]


def test_the_shared_sets_are_recognised(shared_data: Path) -> None:
    gathered = gather([shared_data / "ffpp-c23"])
    assert (gathered.layout, len(gathered.sources), gathered.problems) == ("ffpp", 142, ())
    splits = [source.split for source in gathered.sources]
    assert (splits.count("train"), splits.count("dev")) == (84, 58)
