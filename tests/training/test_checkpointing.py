"""Checkpoints are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanbert.errors import CheckpointError
from spanbert.training.checkpointing import CheckpointFolder, read_checkpoint


def write(folder: CheckpointFolder, step: int) -> Path:
    unfinished = folder.begin(step)
    (unfinished / "weights.bin").write_bytes(bytes([step]) * 100)
    return folder.finish(unfinished, step, {"note": step})


def test_the_newest_are_kept_and_read_back(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    for step in (5, 10, 100):
        write(folder, step)
    assert [path.name for path in folder.list()] == ["step-00000100", "step-00000010"]
    assert read_checkpoint(folder.list()[0]) == (100, {"note": 100})


def test_what_was_not_finished_is_not_seen_and_is_removed(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    write(folder, 5)
    (folder.begin(10) / "weights.bin").write_bytes(b"half")
    assert [path.name for path in folder.list()] == ["step-00000005"]
    folder.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000005"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "weights.bin").unlink(), "weights.bin is missing"),
        (lambda path: (path / "weights.bin").write_bytes(b"short"), "has 5 bytes, not 100"),
        (lambda path: (path / "weights.bin").write_bytes(b"x" * 100), "contents of weights.bin have changed"),
        (lambda path: (path / "checkpoint.json").write_text("{"), "checkpoint.json cannot be read"),
        (lambda path: (path / "checkpoint.json").unlink(), "checkpoint.json cannot be read"),
    ],
)
def test_damage_is_named_and_the_one_before_is_taken(tmp_path: Path, damage: object, message: str) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    older, newer = write(folder, 5), write(folder, 10)
    assert callable(damage)
    damage(newer)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(newer)
    warnings: list[str] = []
    assert folder.newest_whole(warnings.append) == older
    assert message in warnings[0]


def test_no_checkpoint_is_not_an_error_but_only_damaged_ones_are(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    assert folder.newest_whole(print) is None
    (write(folder, 5) / "weights.bin").unlink()
    with pytest.raises(CheckpointError, match="all 1 checkpoints are damaged"):
        folder.newest_whole(lambda _: None)
