"""Going round the sides of a comparison: proof first, then A B A B."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from side_by_side.comparison import Comparison, Result, Side

_FOLDER = Path(__file__).resolve().parent.parent
_QUICK_ROUNDS = 3


class Worker:
    """The process of a side; see worker.py."""

    def __init__(self, side: Side, threads: int, *, verbose: bool) -> None:
        environment = {name: value for name, value in os.environ.items() if side.python is None or name != "PYTHONPATH"}
        paths = [str(_FOLDER), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
        self.side = side
        self._process = subprocess.Popen(
            [str(side.python or sys.executable), "-m", f"side_by_side.sides.{side.module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.DEVNULL,
            env=environment | dict(side.environment),
            text=True,
        )
        loaded = self._ask(json.dumps({"threads": threads, **side.settings}))
        self.loaded_mib = float(loaded["loaded_mib"])
        self.warm_up = int(loaded["warm_up"])

    def run(self) -> dict[str, Any]:
        """One round."""
        return self._ask("run")

    def prove(self) -> list[float]:
        """Numbers that must equal the other sides'."""
        proof = self._ask("prove")["proof"]
        if proof is None:
            raise SystemExit(f"{self.side.name}: has no proof to give")
        return [float(number) for number in proof]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> int:
        """Let the process end; its status."""
        self._process.communicate()
        return self._process.returncode

    def _ask(self, line: str) -> dict[str, Any]:
        stdin = self._pipe(self._process.stdin)
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it ended; below says so
        answer = self._pipe(self._process.stdout).readline()
        if not answer:
            raise SystemExit(f"{self.side.name}: ended with {self._end()}; --verbose shows what it wrote")
        return dict(json.loads(answer))

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def measure(
    comparison: Comparison, *, threads: int, quick: bool, verbose: bool, say: Callable[[str], None]
) -> dict[str, Result]:
    """Prove, warm up, and measure in turn; the results by the sides' keys.

    Raises:
        SystemExit: a side ended, or two sides do not compute the same thing.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(side, threads, verbose=verbose)) for side in comparison.sides]
        _require_equal([worker for worker in workers if worker.side.proves], comparison)
        for worker in workers:
            for _ in range(worker.warm_up):
                worker.run()
        answers: list[list[dict[str, Any]]] = [[] for _ in workers]
        number = min(comparison.rounds, _QUICK_ROUNDS) if quick else comparison.rounds
        for round_ in range(number):
            for worker, mine in zip(workers, answers, strict=True):
                mine.append(worker.run())
            times = ", ".join(
                f"{worker.side.key} {mine[-1]['seconds']:.3g} s" for worker, mine in zip(workers, answers, strict=True)
            )
            say(f"{comparison.name}: round {round_ + 1} of {number}: {times}")
        return {
            worker.side.key: Result.of(mine, worker.loaded_mib) for worker, mine in zip(workers, answers, strict=True)
        }


def _require_equal(workers: Sequence[Worker], comparison: Comparison) -> None:
    proofs = [worker.prove() for worker in workers]
    for worker, proof in zip(workers[1:], proofs[1:], strict=True):
        if len(proof) != len(proofs[0]):
            raise SystemExit(
                f"{comparison.name}: {worker.side.name} computes {len(proof)} numbers, not {len(proofs[0])}"
            )
        scale = max(1e-12, *(abs(number) for number in proofs[0]))
        differences = [abs(a - b) / scale for a, b in zip(proofs[0], proof, strict=True)]
        difference = next((one for one in differences if math.isnan(one)), max(differences, default=0.0))
        if not difference <= comparison.tolerance:
            raise SystemExit(
                f"{comparison.name}: {worker.side.name} and {workers[0].side.name} do not compute the same thing: they "
                f"differ by {difference:.2g} (allowed: {comparison.tolerance:.2g}); nothing was timed"
            )
