"""What a run leaves behind: its curves as numbers and as a picture, and a record of how it was made."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spanbert.errors import InputError

_PACKAGES = ("spanbert", "torch", "transformers", "accelerate", "tokenizers", "numpy", "safetensors")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    # `spanbert predict --help` does without: it brings the packages for mail and zip files with it.
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def command_line() -> str:
    """The command that started this process, as it can be typed again."""
    program = Path(sys.argv[0]).name
    return shlex.join(["spanbert" if program in {"__main__.py", "spanbert"} else program, *sys.argv[1:]])


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class History:
    """The training curves: JSON lines `{"step": 10, "set": "training", "mlm_loss": ...}`, appended as they come.

    Args:
        path: the file.
        enabled: false in all processes but the main one.
    """

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self.path = path
        self.enabled = enabled

    def add(self, step: int, name: str, figures: Mapping[str, float]) -> None:
        """Append the figures of a set ("training", or a validation set) at a step."""
        if self.enabled:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, "set": name, **figures}) + "\n")

    def truncate(self, step: int) -> None:
        """Forget what came after `step`: a resumed run will say it again."""
        if self.enabled and self.path.exists():
            lines = [json.dumps(row) for row in read_history(self.path, damaged_tail=True) if row["step"] <= step]
            unfinished = self.path.with_name(f".{self.path.name}.unfinished")
            unfinished.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            unfinished.replace(self.path)


def read_history(path: Path, *, damaged_tail: bool = False) -> list[dict[str, Any]]:
    """The rows of a `history.jsonl`.

    Args:
        path: the file.
        damaged_tail: pass over a last line that was cut by a crash.

    Raises:
        InputError: a line is not JSON.
    """
    rows: list[dict[str, Any]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if damaged_tail and number == len(lines):
                break
            raise InputError(f"not a line of JSON: {error}", source=str(path), line=number) from error
    return rows


def plot_history(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str, panels: Sequence[Sequence[str]]) -> None:
    """Draw the curves of a run as a picture.

    Args:
        rows: from `read_history`.
        path: where to save it; the ending says the format (.png, .svg, .pdf).
        title: above the picture.
        panels: the figures to draw, one list a panel; a panel whose figures nobody recorded is left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            if name not in {"step", "set"}:
                curves[row["set"], name].append((row["step"], value))
    drawn = [[key for key in curves if key[1] in panel] for panel in panels]
    drawn = [keys for keys in drawn if keys]
    figure = Figure(figsize=(4.6 * len(drawn), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for axes, keys in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        for set_name, name in keys:
            steps, values = zip(*curves[set_name, name], strict=True)
            style = {"linewidth": 1.0, "alpha": 0.7} if set_name == "training" else {"marker": "o", "markersize": 3}
            axes.plot(steps, values, label=f"{set_name}: {name.replace('_', ' ')}", **style)
        axes.set_xlabel("optimiser steps")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=130)
