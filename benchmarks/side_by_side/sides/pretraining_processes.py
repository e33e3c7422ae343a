"""`spanbert pretrain` in some processes: its own pieces a second, start, validation and saving left out.

Settings: those of `text.shared_text`, `corpus`, a folder that the first side prepares with `tokenizer`; `output`, a
folder for the model; `processes`, and `threads_each`; `steps`, `log_every`, and `batch_size` in blocks of 128 pieces.
A round is a run. Its seconds are those that `units` pieces take at the speed in the run's history.jsonl, the first
entry of which is left out: it has what a process does once.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from side_by_side.sides.text import shared_text
from side_by_side.worker import Job, serve
from spanbert.training.record import read_history

_UNITS = 100_000
_PROVEN_STEPS = 4
_PROVEN_BLOCKS = 6


def load(settings: dict[str, Any]) -> Job:
    """The corpus; runs have processes of their own."""
    corpus, output = Path(settings["corpus"]), Path(settings["output"])
    if not corpus.exists():
        _run(["-m", "spanbert", "prepare", str(shared_text(settings)), "--output", str(corpus), "--quiet",
              "--tokenizer", settings["tokenizer"]], 1)  # fmt: skip

    def pretrain(*options: str) -> list[dict[str, Any]]:
        launcher = []
        if settings["processes"] > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={settings['processes']}"]
        words = ["pretrain", str(corpus), "--output", str(output), "--overwrite", "--device", "cpu", "--size", "mini"]
        words += ["--threads", str(settings["threads_each"]), "--held-out", "0", "--quiet"]
        _run([*launcher, "-m", "spanbert", *words, *options], settings["threads_each"])
        return [row for row in read_history(output / "history.jsonl") if row["set"] == "training"]

    def prove() -> list[float]:
        exact = ["--dropout", "0", "--precision", "fp32", "--batch-size", str(_PROVEN_BLOCKS)]
        rows = pretrain("--steps", str(_PROVEN_STEPS), "--log-every", "1", *exact)
        return [float(row[name]) for row in rows for name in ("mlm_loss", "sbo_loss")]

    def run() -> dict[str, Any]:
        steps = ["--steps", str(settings["steps"]), "--log-every", str(settings["log_every"])]
        rows = pretrain(*steps, "--batch-size", str(settings["batch_size"]))
        speed = statistics.harmonic_mean([row["pieces_per_second"] for row in rows[1:]])
        return {"units": _UNITS, "seconds": _UNITS / speed}

    return Job(run, prove, warm_up=0)  # every run is a new process


def _run(words: list[str], threads: int) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, *words], stdin=subprocess.DEVNULL, env=environment, check=True)


if __name__ == "__main__":
    serve(load)
