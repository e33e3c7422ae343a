"""Training checkpoints on disk: written whole or not at all, checked before they are believed.

A checkpoint is a folder `step-00000100` whose `checkpoint.json`, written last, lists every other file with its size and
hash. The folder gets its name by a rename, after everything in it has reached the disk; a process that is killed at any
moment leaves at most a folder with another name, which the next run removes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spanbert.durable_files import hash_file, sync_to_disk
from spanbert.errors import CheckpointError, TrainingError

_PREFIX = "step-"
_UNFINISHED = ".unfinished-"
_INDEX = "checkpoint.json"


class CheckpointFolder:
    """The checkpoints of one run, the newest `keep` of them."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self.keep = keep

    def list(self) -> list[Path]:
        """Finished checkpoints, newest first."""
        return sorted((p for p in self.path.glob(_PREFIX + "*") if p.is_dir()), reverse=True)

    def unfinished_path(self, step: int) -> Path:
        """Where the checkpoint of `step` is written until it is whole."""
        return self.path / f"{_UNFINISHED}{step:08d}"

    def begin(self, step: int) -> Path:
        """A new, empty folder to write the checkpoint of `step` into."""
        self.path.mkdir(parents=True, exist_ok=True)
        folder = self.unfinished_path(step)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def finish(self, unfinished: Path, step: int, state: dict[str, Any]) -> Path:
        """Turn a folder from `begin` into the checkpoint of `step`, and drop those beyond `keep`.

        Args:
            unfinished: the folder, with everything written into it.
            step: optimiser steps done.
            state: what belongs to the run rather than to a tensor; must be JSON.

        Raises:
            OSError: the disk is full or failing; no checkpoint is changed then.
        """
        files = {}
        for file in sorted(p for p in unfinished.rglob("*") if p.is_file()):
            sync_to_disk(file)
            files[file.relative_to(unfinished).as_posix()] = {"bytes": file.stat().st_size, "sha256": hash_file(file)}
        index = unfinished / _INDEX
        index.write_text(json.dumps({"step": step, "files": files, "state": state}), encoding="utf-8")
        sync_to_disk(index)
        sync_to_disk(unfinished)
        final = self.path / f"{_PREFIX}{step:08d}"
        if final.exists():  # the same step again after a resume: identical by construction
            shutil.rmtree(final)
        unfinished.rename(final)
        sync_to_disk(self.path)
        for old in self.list()[self.keep :]:
            if old != final:
                shutil.rmtree(old)
        return final

    def drop_newer(self, checkpoint: Path) -> None:
        """Remove the checkpoints after `checkpoint`, which a resumed run writes anew."""
        for newer in self.list():
            if newer.name > checkpoint.name:
                shutil.rmtree(newer)

    def clean(self) -> None:
        """Remove what interrupted runs left behind."""
        for leftover in self.path.glob(_UNFINISHED + "*"):
            shutil.rmtree(leftover)

    def newest_whole(self, warn: Callable[[str], None]) -> Path | None:
        """The newest checkpoint whose every file is as it was written; None when there has been none at all.

        Damaged ones are passed over and named through `warn`.

        Raises:
            CheckpointError: there are checkpoints, and all are damaged.
        """
        checkpoints = self.list()
        for checkpoint in checkpoints:
            try:
                read_checkpoint(checkpoint)
            except CheckpointError as error:
                warn(f"{error}; trying the checkpoint before it")
            else:
                return checkpoint
        if checkpoints:
            raise CheckpointError(
                f"{self.path}: all {len(checkpoints)} checkpoints are damaged; start again with --overwrite"
            )
        return None


def read_checkpoint(checkpoint: Path) -> tuple[int, dict[str, Any]]:
    """Check a checkpoint's files against its index.

    Returns:
        The step and the `state` given to `CheckpointFolder.finish`.

    Raises:
        CheckpointError: a file is missing, or differs from what was written.
    """
    try:
        index = json.loads((checkpoint / _INDEX).read_text(encoding="utf-8"))
        files, step, state = index["files"], int(index["step"]), index["state"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{checkpoint}: damaged checkpoint: {_INDEX} cannot be read ({error})") from error
    for name, expected in files.items():
        file = checkpoint / name
        if not file.is_file():
            raise CheckpointError(f"{checkpoint}: damaged checkpoint: {name} is missing")
        if file.stat().st_size != expected["bytes"]:
            raise CheckpointError(
                f"{checkpoint}: damaged checkpoint: {name} has {file.stat().st_size} bytes, not {expected['bytes']}"
            )
        if hash_file(file) != expected["sha256"]:
            raise CheckpointError(f"{checkpoint}: damaged checkpoint: the contents of {name} have changed")
    return step, state


def require_free_space(path: Path, num_bytes: int) -> None:
    """Refuse to begin writing what cannot fit.

    Raises:
        TrainingError: fewer than `num_bytes` are free on the disk of `path`.
    """
    free = shutil.disk_usage(path).free
    if free < num_bytes:
        raise TrainingError(
            f"{path}: the disk has {free / 1e6:.0f} MB free and a checkpoint takes {num_bytes / 1e6:.0f} MB; "
            "the checkpoints already there are untouched: make room and go on with --resume"
        )
