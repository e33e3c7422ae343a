"""A train/dev split of one file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.finetuning.splits import split


@dataclass(frozen=True)
class Row:
    id: str
    group: str
    stratum: str | None


class Task:
    """The part of a task that a split needs."""

    def group(self, row: Row) -> str:
        return row.group

    def stratum(self, row: Row) -> str | None:
        return row.stratum


TASK: Any = Task()
LABELS = ["a", "b", "c", None]


def rows_of(groups: list[tuple[int, str | None]]) -> list[Row]:
    """A row for each member of (size, stratum) groups, the groups interleaved."""
    rows = [
        (member, number, Row(f"{number}-{member}", str(number), stratum))
        for number, (size, stratum) in enumerate(groups)
        for member in range(size)
    ]
    return [row for _, _, row in sorted(rows, key=lambda item: item[:2])]


def single(labels: list[str | None]) -> list[Row]:
    return rows_of([(1, label) for label in labels])


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(LABELS)), min_size=2, max_size=60),
    share=st.floats(0.02, 0.9),
    seed=st.integers(0, 5),
)
def test_a_split_is_disjoint_complete_seeded_and_keeps_groups_whole(
    groups: list[tuple[int, str | None]], share: float, seed: int
) -> None:
    rows = rows_of(groups)
    train, dev = split(TASK, rows, share, seed=seed)
    assert train
    assert dev
    assert sorted(train + dev, key=rows.index) == rows
    assert train == [row for row in rows if row in train]  # in the order of the file
    assert dev == [row for row in rows if row in dev]
    assert not {row.group for row in train} & {row.group for row in dev}
    assert split(TASK, rows, share, seed=seed) == (train, dev)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(2, 60), min_size=1),
    share=st.floats(0.05, 0.5),
    seed=st.integers(0, 5),
)
def test_labels_are_in_proportion(sizes: dict[str, int], share: float, seed: int) -> None:
    rows = single([label for label, size in sizes.items() for _ in range(size)])
    train, dev = split(TASK, rows, share, seed=seed)
    assert {row.stratum for row in train} == sizes.keys()
    found = Counter(row.stratum for row in dev)
    for label, size in sizes.items():
        assert abs(found[label] - share * size) <= 1.5
    assert abs(len(dev) - max(1, share * len(rows))) <= 1 + len(sizes) / 2


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(1, 30), min_size=20, max_size=60), share=st.floats(0.05, 0.5), seed=st.integers(0, 5)
)
def test_the_share_is_right_within_a_group(groups: list[int], share: float, seed: int) -> None:
    rows = rows_of([(size, "questions") for size in groups])
    _, dev = split(TASK, rows, share, seed=seed)
    assert abs(len(dev) - share * len(rows)) <= max(groups)


def test_one_huge_group_does_not_use_up_the_share_of_the_others() -> None:
    rows = rows_of([(1000, "a"), *[(1, "a")] * 200, *[(1, "b")] * 50])
    _, dev = split(TASK, rows, 0.1, seed=0)
    assert Counter(row.stratum for row in dev) == {"a": 120, "b": 5}  # of small groups only


def test_rare_labels_stay_in_training_and_leave_the_others_in_proportion() -> None:
    rows = single([*["common"] * 100, "rare", "rarer"])
    train, dev = split(TASK, rows, 0.1, seed=0)
    assert {row.stratum for row in train} == {"common", "rare", "rarer"}
    assert len(dev) == 10


def test_a_file_of_nothing_but_different_strata_is_split_all_the_same() -> None:
    rows = single([f"{number}" for number in range(100)])  # combinations of labels, say
    _, dev = split(TASK, rows, 0.1, seed=0)
    assert len(dev) == 10
    assert [row.id for row in dev] != [row.id for row in rows[:10]]
    _, other = split(TASK, rows, 0.1, seed=1)
    assert other != dev


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(InputError, match=r"3 examples in 1 group .*--dev"):
        split(TASK, rows_of([(3, "a")]), 0.1, seed=0)
