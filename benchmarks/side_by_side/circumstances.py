"""When, where and with what a run is made."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

_REPOSITORY = Path(__file__).resolve().parents[2]
_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
_PROCESSOR = "from spanbert.training.devices import processor_name; print(processor_name())"
_GRAPHICS_PROCESSOR = "import torch; print(torch.cuda.get_device_name())"


def circumstances(device: str, threads: int) -> dict[str, Any]:
    """What the record keeps of a run; to be called before anything runs, since the load is part of it.

    Raises:
        SystemExit: the device is "cuda" and torch finds none.
    """
    load = round(psutil.getloadavg()[0], 2)
    return {
        "machine": machine(device, threads),
        "load": load,
        "versions": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
    }


def machine(device: str, threads: int) -> str:
    """The processor and the threads of it, or the GPU."""
    # In a process of its own: both names need torch, which is not to be in memory while the sides are measured.
    code = _PROCESSOR if device == "cpu" else _GRAPHICS_PROCESSOR
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SystemExit(f"--device {device}: torch does not find it: {why}")
    return f"{done.stdout.strip()}, {threads} of {os.cpu_count()} cores" if device == "cpu" else done.stdout.strip()


def commit() -> str:
    """The commit that is measured, and whether the code that is differs from it."""
    name = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_REPOSITORY, capture_output=True, text=True, check=False
    )
    if name.returncode:
        return "an unknown commit"
    measured = ["src", "benchmarks/side_by_side"]
    same = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *measured], cwd=_REPOSITORY, check=False)
    return name.stdout.strip() + (" with changes" if same.returncode else "")
