"""What a row of the benchmarks is made of: sides, results, aims."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """What the command line says, as far as rows need it.

    Attributes:
        data: folder of real data laid out as docs/benchmarks.md says; None means the sample texts of the package.
        model: folder of a small BERT.
        device: "cpu" or "cuda".
        threads: CPU threads of every side.
        fastcoref_python: python of an environment with fastcoref; None leaves that peer out.
        scratch: a folder for files of this run.
    """

    data: Path | None
    model: Path
    device: str
    threads: int
    fastcoref_python: Path | None
    scratch: Path

    def files(self, *names: str) -> list[str]:
        """Files of the real data, for the setting `sources`; none without real data."""
        return [] if self.data is None else [str(self.data / name) for name in names]


@dataclass(frozen=True)
class Side:
    """One column of a comparison.

    Attributes:
        key: short name, unique in the comparison: "ours", "peer", "square", ...
        name: what the table says.
        module: name of a module of `side_by_side.sides`.
        settings: what its `load` is given, as JSON.
        proves: whether its proof has to equal the first proving side's.
        python: the interpreter; None means ours.
        environment: variables for the process.
        unit: of its speed, where that is not the comparison's: "GFLOP" of a ceiling, whose `run` then counts those.
    """

    key: str
    name: str
    module: str
    settings: Mapping[str, Any]
    proves: bool = False
    python: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None


@dataclass(frozen=True)
class Result:
    """What a side showed: medians over the rounds.

    Attributes:
        seconds: of a round.
        units: done in a round.
        peak_mib: highest resident memory above what was there after loading.
        loaded_mib: resident memory after loading.
        rounds: seconds of each round, in order.
        figures: what else the side told, of the last round.
    """

    seconds: float
    units: float
    peak_mib: float
    loaded_mib: float
    rounds: tuple[float, ...]
    figures: Mapping[str, Any]

    @property
    def speed(self) -> float:
        """Units a second."""
        return self.units / self.seconds

    @classmethod
    def of(cls, answers: list[dict[str, Any]], loaded_mib: float) -> Result:
        """From a worker's answers, one a round."""
        known = {"seconds", "units", "peak_mib"}
        return cls(
            seconds=statistics.median(answer["seconds"] for answer in answers),
            units=statistics.median(answer["units"] for answer in answers),
            peak_mib=max(answer["peak_mib"] for answer in answers),
            loaded_mib=loaded_mib,
            rounds=tuple(answer["seconds"] for answer in answers),
            figures={name: value for name, value in answers[-1].items() if name not in known},
        )


Results = Mapping[str, Result]
"""By the sides' keys."""


@dataclass(frozen=True)
class Aim:
    """A figure and where it is to be.

    Attributes:
        text: the figure in words, unique in its comparison: "times the speed of transformers".
        figure: computes it.
        least, most: bounds; neither means that the figure is told and not judged.
        unit: written behind the figure: "x", "s", "%" (of a share, which is then shown times 100).
    """

    text: str
    figure: Callable[[Results], float]
    least: float | None = None
    most: float | None = None
    unit: str = "x"

    def met(self, value: float) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True)
class Comparison:
    """A row of the benchmarks.

    Attributes:
        name: for `--only` and the record.
        title: the heading.
        does: what exactly all sides did, in Markdown.
        unit: what is counted, in the plural: "pieces".
        sides: in the order in which they take turns.
        aims: what is told in the summary.
        flop: formula of a unit's floating point operations, in Markdown; "" where there is none.
        flop_per_unit: its value, for the sides in `flop_sides`.
        flop_sides: keys of the sides whose GFLOP/s the table shows.
        tolerance: largest difference of two proofs, relative to the largest number in them.
        proof: what the proof compares, in words.
        rounds: that count; a quick run makes at most 3.
        slow: left out of quick runs.
    """

    name: str
    title: str
    does: str
    unit: str
    sides: tuple[Side, ...]
    aims: tuple[Aim, ...]
    flop: str = ""
    flop_per_unit: float | None = None
    flop_sides: tuple[str, ...] = ()
    tolerance: float = 1e-4
    proof: str = ""
    rounds: int = 5
    slow: bool = False

    @property
    def sources(self) -> list[Path]:
        """The files of real data that its sides open: all that stand in their setting `sources`."""
        return sorted({Path(file) for side in self.sides for file in side.settings.get("sources", ())})

    @property
    def texts(self) -> str:
        """What its sides read; a row without the setting `sources` reads the same with and without real data."""
        if not any("sources" in side.settings for side in self.sides):
            return "the same with and without DATA"
        return "real data" if self.sources else "the sample texts"


def speed_ratio(ours: str, peer: str) -> Callable[[Results], float]:
    """Speed of one side over that of another."""
    return lambda results: results[ours].speed / results[peer].speed


def memory_ratio(ours: str, peer: str) -> Callable[[Results], float]:
    """Peak memory of one side, above what was loaded, over that of another."""
    return lambda results: results[ours].peak_mib / max(1.0, results[peer].peak_mib)
