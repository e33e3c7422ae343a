"""Positions that a stage has not reached: where they begin in the next one, and who is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from spanbert.cli import main
from spanbert.tasks.pretraining.config import PretrainConfig
from spanbert.tasks.pretraining.pretrain import pretrain
from spanbert.tasks.pretraining.span_filler import SpanFiller
from spanbert.tasks.pretraining.trained_positions import continued_positions

TABLE = "bert.embeddings.position_embeddings.weight"


def curve(num_rows: int, width: int, num_circles: int, seed: int) -> Tensor:
    """[P, D]: positions that go round several circles at once, each at a speed of its own."""
    random = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(width, width, generator=random, dtype=torch.float64)).Q
    speeds = 0.2 + 1.8 * torch.rand(num_circles, generator=random, dtype=torch.float64)
    angles = torch.arange(num_rows, dtype=torch.float64)[:, None] * speeds
    circles = torch.cat([angles.cos(), angles.sin()], dim=1)
    rows = circles @ axes[: 2 * num_circles] + torch.randn(width, generator=random, dtype=torch.float64)
    return rows.float()


@settings(deadline=None, max_examples=30)
@given(num_circles=st.integers(1, 4), seed=st.integers(0, 10_000), num_trained=st.integers(80, 140))
def test_a_curve_of_circles_goes_on_as_it_was(num_circles: int, seed: int, num_trained: int) -> None:
    table = curve(200, 32, num_circles, seed)
    untrained = table.clone()
    untrained[num_trained:] = 0.01 * torch.randn(200 - num_trained, 32)
    continued = continued_positions(untrained, num_trained)
    assert torch.equal(continued[: num_trained - 3], table[: num_trained - 3])
    # Circles of nearly one speed cannot be told apart from so few rows, so the nearest rows are compared.
    near = slice(num_trained, num_trained + 20)
    mean = table[3 : num_trained - 3].mean(dim=0)
    assert torch.cosine_similarity(continued[near] - mean, table[near] - mean, dim=1).mean() > 0.8


@pytest.mark.parametrize("num_trained", [0, 5, 13, 64, 100])
def test_nothing_to_go_by_or_nothing_to_do(num_trained: int) -> None:
    table = torch.randn(64, 16)
    assert torch.equal(continued_positions(table, num_trained), table)


def test_rows_that_are_all_alike_stay_finite() -> None:
    assert continued_positions(torch.ones(64, 16), 32).isfinite().all()


def stage(corpus: Path, output: Path, **options: Any) -> None:
    defaults: dict[str, Any] = {"steps": 1, "batch_size": 4, "precision": "fp32", "device": "cpu", "held_out": 0.0}
    pretrain(PretrainConfig(corpus=corpus, output=output, **defaults | options))


@pytest.fixture(scope="module")
def short(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has read 32 pieces at a time and has room for 64."""
    output = tmp_path_factory.mktemp("short") / "model"
    stage(corpus_folder, output, layers=1, width=32, heads=2, max_positions=64, sequence_length=32, quiet=True)
    return output


def described(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_text())["spanbert"]


def test_a_longer_stage_begins_on_the_continued_curve(
    corpus_folder: Path, short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert described(short)["trained_positions"] == 32
    longer = tmp_path / "longer"
    stage(corpus_folder, longer, init_from=str(short), sequence_length=64, learning_rate=1e-9, dropout=0)
    assert "has read 32 pieces at a time: the positions behind continue the curve" in capsys.readouterr().err
    begun, ended = load_file(short / "model.safetensors")[TABLE], load_file(longer / "model.safetensors")[TABLE]
    assert torch.allclose(ended, continued_positions(begun, 32), atol=1e-6)
    assert not torch.allclose(ended[32:], begun[32:], atol=1e-3)
    assert "trained_positions" not in described(longer)  # all are


def test_a_stage_of_the_same_length_leaves_them(corpus_folder: Path, short: Path, tmp_path: Path) -> None:
    same = tmp_path / "same"
    stage(corpus_folder, same, init_from=str(short), sequence_length=32, learning_rate=1e-9, dropout=0, quiet=True)
    tables = [load_file(folder / "model.safetensors")[TABLE] for folder in (short, same)]
    assert torch.allclose(*tables, atol=1e-6)
    assert described(same)["trained_positions"] == 32


def test_who_reads_further_is_warned(
    corpus_folder: Path, short: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(short), str(corpus_folder), "--sequence-length", "40", "--max-blocks", "2"]) == 0
    assert "only 32 positions are trained, and --sequence-length is 40" in capsys.readouterr().err
    assert main(["convert", str(short), "--output", str(tmp_path / "half"), "--half-precision", "fp16"]) == 0
    assert main(["info", str(tmp_path / "half"), "--json"]) == 0
    assert '"trained_positions": 32' in capsys.readouterr().out
    assert main(["sample", str(tmp_path / "data"), "--task", "classification"]) == 0
    finetune = [
        "finetune", "classification", "--model", str(short), "--train", str(tmp_path / "data" / "train.jsonl"),
        "--output", str(tmp_path / "tuned"), "--steps", "1", "--stride", "8", "--max-length",
    ]  # fmt: skip
    assert main([*finetune, "48"]) == 0
    assert "only 32 positions of it are trained" in capsys.readouterr().err
    assert main([*finetune, "32", "--overwrite"]) == 0
    assert "positions of it" not in capsys.readouterr().err


def test_filling_shows_the_model_no_more_than_it_knows(short: Path) -> None:
    filler = SpanFiller.load(str(short))
    before, after = "The mill was sold. " * 20, " It was sold again." * 20
    [span] = filler.fill(f"{before}[MASK] came.{after}").spans
    # 30 pieces and two special ones: what stands further off cannot matter.
    [same] = filler.fill(f"Mr Bell died. {before}[MASK] came.{after} He died.").spans
    assert [one.text for one in span.candidates] == [one.text for one in same.candidates]
