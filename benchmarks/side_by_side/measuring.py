"""Going round the sides of a comparison: proof first, then A B A B."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil  # type: ignore[import-untyped]

from side_by_side.comparison import Comparison, Result, Side

_FOLDER = Path(__file__).resolve().parent.parent
_QUICK_ROUNDS = 3
_SECONDS_TO_END = 10.0
_LAST_LINES = 8


class RowError(Exception):
    """A row cannot be measured; others may."""


class Worker:
    """The process of a side; see worker.py."""

    def __init__(self, side: Side, threads: int, *, verbose: bool) -> None:
        environment = {name: value for name, value in os.environ.items() if side.python is None or name != "PYTHONPATH"}
        paths = [str(_FOLDER), *filter(None, [environment.get("PYTHONPATH")])]
        environment |= {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
        self.side = side
        self.loaded_mib = 0.0
        self.warm_up = 0
        self._threads = threads
        self._stderr = None if verbose else tempfile.TemporaryFile()  # noqa: SIM115 (closed by _end)
        self._process = subprocess.Popen(
            [str(side.python or sys.executable), "-m", f"side_by_side.sides.{side.module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment | dict(side.environment),
            text=True,
            start_new_session=True,  # Ctrl-C reaches us alone, who then end all that a side has started
        )

    def load(self) -> None:
        """Let it load what it needs."""
        loaded = self._ask(json.dumps({"threads": self._threads, **self.side.settings}))
        self.loaded_mib = float(loaded["loaded_mib"])
        self.warm_up = int(loaded["warm_up"])

    def run(self) -> dict[str, Any]:
        """One round."""
        return self._ask("run")

    def prove(self) -> list[float]:
        """Numbers that must equal the other sides'."""
        proof = self._ask("prove")["proof"]
        if proof is None:
            raise RowError(f"{self.side.name}: has no proof to give")
        return [float(number) for number in proof]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            end_children()
        self._end()

    def _end(self) -> str:
        """Let the process end; the last lines that it wrote to stderr."""
        self._process.communicate()
        if self._stderr is None or self._stderr.closed:
            return ""
        with self._stderr:
            self._stderr.seek(0)
            lines = self._stderr.read().decode(errors="replace").splitlines()
        return "".join(f"\n    {line}" for line in lines[-_LAST_LINES:])

    def _ask(self, line: str) -> dict[str, Any]:
        stdin = self._pipe(self._process.stdin)
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it ended; below says so
        answer = self._pipe(self._process.stdout).readline()
        if not answer:
            wrote = self._end()
            raise RowError(
                f"{self.side.name}: ended with {self._process.returncode}; --verbose shows all it wrote{wrote}"
            )
        return dict(json.loads(answer))

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def end_children() -> None:
    """End the sides and all processes that they have started, some of which have sessions of their own."""
    children = psutil.Process().children(recursive=True)
    for how in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                how(child)
        _, children = psutil.wait_procs(children, timeout=_SECONDS_TO_END)


def measure(
    comparison: Comparison, *, threads: int, quick: bool, verbose: bool, say: Callable[[str], None]
) -> dict[str, Result]:
    """Prove, warm up, and measure in turn; the results by the sides' keys.

    Raises:
        RowError: a side ended, or two sides do not compute the same thing.
    """
    say(f"{comparison.name}: loading {len(comparison.sides)} sides")
    with ExitStack() as stack:
        workers = []
        for side in comparison.sides:
            workers.append(stack.enter_context(Worker(side, threads, verbose=verbose)))
            workers[-1].load()
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
            raise RowError(f"{worker.side.name} computes {len(proof)} numbers, not {len(proofs[0])}")
        scale = max(1e-12, *(abs(number) for number in proofs[0]))
        differences = [abs(a - b) / scale for a, b in zip(proofs[0], proof, strict=True)]
        difference = next((one for one in differences if math.isnan(one)), max(differences, default=0.0))
        if not difference <= comparison.tolerance:
            raise RowError(
                f"{worker.side.name} and {workers[0].side.name} do not compute the same thing: they "
                f"differ by {difference:.2g} (allowed: {comparison.tolerance:.2g}); nothing was timed"
            )
