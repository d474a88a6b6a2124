"""Splits part nothing that is linked and keep official ones.

Every label and method gets its fraction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesovid.dataset.sources import Source
from mesovid.dataset.splits import assign, leaks, linked_sets, parse_ratio
from mesovid.errors import SettingsError

RATIO = (0.8, 0.1, 0.1)


def video(name: str, label: str = "real", **about: str | None) -> Source:
    return Source(files=(Path(f"{name}.mp4"),), video=name, label=label, collection="set", **about)  # type: ignore[arg-type]


def pairs(n: int) -> list[Source]:
    """`n` originals, each with a fake of two methods."""
    reals = [video(f"r{i}", target=f"p{i}") for i in range(n)]
    fakes = [
        video(f"{method}{i}", "fake", method=method, original=f"r{i}", target=f"p{i}")
        for i in range(n)
        for method in ("A", "B")
    ]
    return reals + fakes


people = st.sampled_from([None, "a", "b", "c", "d", "e", "f", "g", "h"])
collections = st.lists(
    st.tuples(people, people, st.integers(0, 20), st.sampled_from([None, "g1", "g2", "g3"])),
    max_size=30,
)


@given(collections, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_no_split_parts_what_is_linked(
    rows: list[tuple[str | None, str | None, int, str | None]], seed: int
) -> None:
    sources = [
        video(
            f"v{i}",
            "fake" if source else "real",
            target=target,
            source=source,
            original=f"v{original}",
            group=group,
        )
        for i, (target, source, original, group) in enumerate(rows)
    ]
    dealt = assign(sources, RATIO, seed)
    assert [source.video for source in dealt] == [source.video for source in sources]
    assert all(source.split for source in dealt)
    assert leaks(dealt) == []
    assert assign(sources, RATIO, seed) == dealt


def test_links_go_through_originals_identities_and_groups() -> None:
    sources = [
        video("a", target="anna"),
        video("b", "fake", target="anna", source="bert"),
        video("c", target="bert", group="x"),
        video("d", group="x"),
        video("e", "fake", original="a"),
        video("f"),
    ]
    assert [{s.video for s in linked} for linked in linked_sets(sources)] == [
        {"a", "b", "c", "d", "e"},
        {"f"},
    ]
    only_originals = linked_sets(sources, identities=False)
    assert [{s.video for s in linked} for linked in only_originals] == [
        {"a", "e"},
        {"b"},
        {"c", "d"},
        {"f"},
    ]


def test_identities_of_two_collections_are_not_the_same_people() -> None:
    one, other = video("a", target="1"), replace(video("b", target="1"), collection="other")
    assert len(linked_sets([one, other])) == 2


def test_every_label_and_method_gets_its_share() -> None:
    dealt = assign(pairs(100), RATIO, seed=3)
    count = Counter((source.split, source.method) for source in dealt)
    for method in (None, "A", "B"):
        assert count["train", method] == 80
        assert count["valid", method] == 10
        assert count["test", method] == 10


def test_another_seed_deals_otherwise() -> None:
    splits = [[source.split for source in assign(pairs(40), RATIO, seed)] for seed in (1, 2)]
    assert splits[0] != splits[1]


def test_official_splits_stay_and_draw_what_is_linked_to_them() -> None:
    sources = [
        video("a", target="anna", split="dev"),
        video("b", "fake", target="anna"),
        *(video(f"x{i}") for i in range(10)),
    ]
    dealt = {source.video: source.split for source in assign(sources, RATIO, 0)}
    assert dealt["a"] == dealt["b"] == "dev"
    assert {dealt[f"x{i}"] for i in range(10)} <= {"train", "valid", "test"}


def test_leaks_of_an_official_split_are_told() -> None:
    found = leaks(
        [
            video("a", target="anna", split="train"),
            video("b", "fake", original="a", target="anna", split="test"),
            video("c", "fake", original="z", split="train"),
            video("d", "fake", original="z", split="test"),
        ]
    )
    assert [(leak.kind, leak.name, leak.splits, leak.videos) for leak in found] == [
        ("original", "a", ("test", "train"), 2),
        ("original", "z", ("test", "train"), 2),
        ("identity", "set: anna", ("test", "train"), 2),
    ]


@pytest.mark.parametrize("text", ["80/20", "a/b/c", "0/0/0", "-1/1/1", "nan/1/1", "inf/1/1"])
def test_bad_shares_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="split is"):
        parse_ratio(text)


def test_shares_need_not_add_up_to_100() -> None:
    assert parse_ratio("8/1/1") == pytest.approx((0.8, 0.1, 0.1))
