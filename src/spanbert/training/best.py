"""The best weights of a run so far, and whether it is time to stop looking for better ones.

They stand in `checkpoints/best.safetensors`, and every checkpoint holds those of its own time (as a link to the same
data, where the disk can do that), so that a resumed run chooses and stops as if it had never been interrupted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spanbert.durable_files import sync_to_disk
from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.training.contract import Selection

_NAME = "best.safetensors"


@dataclass(frozen=True)
class Best:
    """The best weights of a run so far.

    Attributes:
        step: optimiser steps they have seen.
        value: of the metric that decides.
        path: a safetensors file of the whole model's weights, for `load_weights`.
    """

    step: int
    value: float
    path: Path


class BestWeights:
    """Chooses among the validations of a run.

    Args:
        folder: where the best weights are kept.
        selection: what decides; None chooses nothing and never stops.
    """

    def __init__(self, folder: Path, selection: Selection | None) -> None:
        self.path = folder / _NAME
        self.selection = selection
        self.best: Best | None = None
        self.num_without = 0
        """Validations in a row without a better one."""

    def out_of_patience(self) -> bool:
        """Whether training should stop."""
        return self.selection is not None and 0 < self.selection.patience <= self.num_without

    def judge(self, step: int, metrics: Mapping[str, float]) -> bool:
        """Take note of a validation; true where it is the best, and its weights are to be kept.

        Raises:
            ConfigurationError: the metric that decides is not among them.
        """
        assert self.selection is not None
        if self.selection.metric not in metrics:
            raise ConfigurationError(
                f"the validation set {self.selection.validation!r} gives no metric {self.selection.metric!r} to choose "
                f"the best weights by, only: {', '.join(metrics)}"
            )
        value = metrics[self.selection.metric]
        # `not >` rather than `<=`: a metric that is not a number never wins.
        if not value > (float("-inf") if self.best is None else self.best.value):
            self.num_without += 1
            return False
        self.best, self.num_without = Best(step, value, self.path), 0
        return True

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """Write the weights of the best validation, whole or not at all.

        Raises:
            OSError, SafetensorError: the disk is full or failing; the weights kept before are untouched.
        """
        assert self.best is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._unfinished()
        save_file(_each_once(weights), unfinished, {"step": str(self.best.step), "value": repr(self.best.value)})
        sync_to_disk(unfinished)
        unfinished.replace(self.path)
        sync_to_disk(self.path.parent)

    def add_to(self, checkpoint: Path) -> None:
        """Put the best weights into a checkpoint that is being written."""
        if self.best is not None:
            _link(self.path, checkpoint / _NAME)

    def take_from(self, checkpoint: Path) -> None:
        """Make a checkpoint's best weights those of the run; call it after `restore`."""
        if self.best is None:
            self.path.unlink(missing_ok=True)
            return
        unfinished = self._unfinished()
        unfinished.unlink(missing_ok=True)
        _link(checkpoint / _NAME, unfinished)
        unfinished.replace(self.path)
        unfinished.unlink(missing_ok=True)  # where both names are links to one file, a rename leaves both

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as JSON values."""
        best = None if self.best is None else {"step": self.best.step, "value": self.best.value}
        return {"best": best, "without": self.num_without}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.best = None if state["best"] is None else Best(path=self.path, **state["best"])
        self.num_without = state["without"]

    def _unfinished(self) -> Path:
        return self.path.with_name(f".{_NAME}.unfinished")


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a `Best` into a model of the same shape.

    Raises:
        CheckpointError: the file cannot be read, or belongs to another model.
    """
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: the best weights cannot be read: {error}") from error
    missing = _each_once(model.state_dict()).keys() - weights.keys()
    try:
        unknown = model.load_state_dict(weights, strict=False).unexpected_keys
    except RuntimeError as error:
        raise CheckpointError(f"{path}: these weights are of another model: {error}") from error
    if missing or unknown:
        raise CheckpointError(f"{path}: these weights are of another model: {sorted(missing) + unknown} differ")


def _each_once(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the first of their names, where several share one tensor; safetensors refuses those."""
    first: dict[tuple[int, tuple[int, ...]], str] = {}
    for name, tensor in weights.items():
        first.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
    return {name: weights[name].contiguous() for name in first.values()}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)  # no copy: the file is never changed, only replaced
    except OSError:
        shutil.copyfile(source, target)
