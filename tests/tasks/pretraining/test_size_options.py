"""The options of a new model's size: the same in `spanbert pretrain` and `spanbert ablate`, after what comes first."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from spanbert.ablation.config import AblateConfig
from spanbert.tasks.pretraining.config import PretrainConfig
from spanbert.tasks.pretraining.size_options import SIZES, Size, SizeOptions


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (4, 256, 4)),
        ({"size": "base"}, (12, 768, 12)),
        ({"size": "tiny", "layers": 3}, (3, 128, 2)),
        ({"width": 96, "heads": 3}, (4, 96, 3)),
    ],
)
def test_single_options_replace_those_of_the_size(options: dict[str, Any], shape: tuple[int, int, int]) -> None:
    assert SizeOptions(**options).shape == shape
    ablation = AblateConfig(corpus=Path("corpus"), output=Path("out"), **options)
    assert ablation.pretraining("spans", 0, Path("encoder"), batch_size=4).shape == shape


def test_every_size_has_a_shape() -> None:
    assert set(get_args(Size)) == set(SIZES)
    assert all(width % heads == 0 for _, width, heads in SIZES.values())


@pytest.mark.parametrize(
    ("config_class", "before", "after"),
    [(PretrainConfig, "init_from", "max_positions"), (AblateConfig, "batch_size", "max_positions")],
)
def test_help_has_them_after_what_a_run_begins_with(config_class: type[Any], before: str, after: str) -> None:
    names = [field.name for field in fields(config_class)]
    shared = [field.name for field in fields(SizeOptions)]
    first = names.index(shared[0])
    assert names[first - 1 : first + len(shared) + 1] == [before, *shared, after]
