"""The rows of an ablation and the options of `spanbert ablate`. Free of torch, so that `--help` answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.config import PretrainConfig
from spanbert.tasks.pretraining.masking import Scheme
from spanbert.tasks.pretraining.size_options import SizeOptions
from spanbert.training.config import Device, Optimizer, Precision, Schedule


class Row(NamedTuple):
    """One way to pre-train; all else is the same in every row."""

    words: str
    """What a table calls it."""
    scheme: Scheme
    """What is masked."""
    nsp: bool
    """Whether there are two segments and next-sentence prediction."""
    sbo: bool
    """Whether there is a span boundary objective."""
    seeds: int
    """Encoders that are pre-trained when nothing else is asked for."""


RowName = Literal["pieces-nsp", "words-nsp", "spans-nsp", "spans", "spans-sbo"]

ROWS: Mapping[RowName, Row] = {
    "pieces-nsp": Row("single pieces + NSP", "pieces", nsp=True, sbo=False, seeds=1),
    "words-nsp": Row("whole words + NSP", "whole-words", nsp=True, sbo=False, seeds=1),
    "spans-nsp": Row("spans + NSP", "spans", nsp=True, sbo=False, seeds=1),
    "spans": Row("spans, single sequences", "spans", nsp=False, sbo=False, seeds=3),
    "spans-sbo": Row("spans, single sequences + SBO", "spans", nsp=False, sbo=True, seeds=3),
}
"""From BERT to SpanBERT, one change a row (Joshi et al. 2019, sections 5 and 6.2)."""

_NOT_OF_THE_RUNS = frozenset({"output", "tasks", "rows", "seeds", "keep_models", "quiet", "json"})
"""Options that say which runs there are, where, and what is seen of them, but touch the course of none."""


@dataclass(frozen=True, kw_only=True)
class _RunsOptions:
    """Which runs there are, and how long. A class of its own because `--help` has the options of base classes first."""

    corpus: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CORPUS")]
    """Folder written by `spanbert prepare`."""

    output: Path
    """Folder for the runs, the table, the picture and the figures."""

    tasks: Path | None = None
    """TOML file with a table [[tasks]] for each task to fine-tune for: name, task, train, test, metric, and any option
    of `spanbert finetune TASK`. Without it only pre-training is compared."""

    rows: tuple[RowName, ...] = tuple(ROWS)
    """The rows, in this order; each is compared with the one before it."""

    seeds: tuple[int, ...] = ()
    """Encoders of each row, or one number for all: --seed, --seed + 1, ... The default is 3 for the last two rows and 1
    for the others."""

    steps: int = 1000
    """Optimiser steps of each pre-training."""

    batch_size: int = 32
    """Blocks of one optimiser step in the rows of single sequences. Rows with NSP, whose blocks have other lengths,
    take as many as have the same number of pieces."""


@dataclass(frozen=True, kw_only=True)
class AblateConfig(SizeOptions, _RunsOptions):
    """Pre-train an encoder for each row of the paper's question, fine-tune all on your tasks, and compare.

    The rows are single pieces + NSP, whole words + NSP, spans + NSP, spans with single sequences, and these with the
    span boundary objective. They learn from the same documents with the same size, steps and optimiser. The output
    folder gets a table (README.md), a picture (ablation.png) and all figures (results.json). The same command goes on
    where an interrupted one stopped; rows, seeds and tasks can be added later. Given again while it runs, it shares
    the work: each process takes encoders that no other is at.
    """

    max_positions: int = 512
    """Rows of the position table. Those beyond --sequence-length stay untrained: keep the windows of tasks shorter."""

    dropout: float = 0.1
    """Dropout of hidden states in pre-training. Fine-tuning takes it over, unless a task's table has its own."""

    initializer_range: float = 0.02
    """Standard deviation of the first weights."""

    budget: float = 0.15
    """Share of the pieces to mask, at most."""

    learning_rate: float = 5e-4
    """Highest learning rate of pre-training."""

    schedule: Schedule = "linear"
    """What the learning rate does after the warm-up."""

    warmup: float = 0.1
    """Share of the steps over which the learning rate rises from 0."""

    optimizer: Optimizer = "adamw"
    """The optimiser of pre-training."""

    weight_decay: float | None = None
    """Weight decay of matrices; the optimiser's own default when not given."""

    held_out: float = 0.01
    """Share of the corpus's documents that no run learns from, and all are measured on."""

    max_validation_blocks: int = 1024
    """At most so many blocks of the held-out documents are measured, evenly spread."""

    micro_batch_pieces: int = 8192
    """Most pieces, padding counted, that go through the model at once; a larger step is accumulated."""

    samples: int = 1000
    """How many times the test examples are drawn anew for the intervals."""

    keep_models: bool = False
    """Keep the fine-tuned models; otherwise only their figures, predictions and curves stay. Pre-trained ones always
    do."""

    seed: int = 0
    """First seed; it also chooses the held-out documents and their masks."""

    device: Device = "auto"
    """auto takes a GPU when there is one."""

    precision: Precision = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the processor multiplies it in hardware."""

    threads: int | None = None
    """CPU threads of torch; the default is all cores."""

    json: bool = False
    """Print the figures as JSON."""

    quiet: bool = False
    """No progress, only the table and errors."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if not self.rows or len(set(self.rows)) < len(self.rows):
            raise ConfigurationError("--rows names each row once, and at least one")
        if unknown := [row for row in self.rows if row not in ROWS]:
            raise ConfigurationError(f"--rows: there is no row {unknown[0]!r}; the rows are {', '.join(ROWS)}")
        if len(self.seeds) not in (0, 1, len(self.rows)):
            raise ConfigurationError(
                f"--seeds: {len(self.seeds)} numbers for {len(self.rows)} rows: give one for all, or one for each"
            )
        if any(number < 1 for number in self.seeds):
            raise ConfigurationError("--seeds: each row has at least 1")
        if self.samples < 1:
            raise ConfigurationError(f"--samples is at least 1, not {self.samples}")
        if not 0 < self.held_out < 1:
            raise ConfigurationError(f"--held-out is a share above 0 and below 1, not {self.held_out}")
        for row in self.rows:
            self.pretraining(row, self.seed, self.output, batch_size=self.batch_size)

    @property
    def seeds_of_rows(self) -> dict[RowName, range]:
        """The seeds of each row, in the order of the rows."""
        numbers = self.seeds or tuple(ROWS[row].seeds for row in self.rows)
        numbers = numbers * len(self.rows) if len(numbers) == 1 else numbers
        return {row: range(self.seed, self.seed + number) for row, number in zip(self.rows, numbers, strict=True)}

    def pretraining(
        self, row: RowName, seed: int, output: Path, *, batch_size: int, resume: bool = False
    ) -> PretrainConfig:
        """The options of one pre-training; with `resume` it goes on where an earlier one in the folder stopped.

        Raises:
            ConfigurationError: an option is out of range.
        """
        own = {field.name for field in fields(self)} & {field.name for field in fields(PretrainConfig)}
        values = {name: getattr(self, name) for name in own}
        one = ROWS[row]
        values |= {"scheme": one.scheme, "nsp": one.nsp, "sbo": one.sbo, "output": output}
        values |= {"seed": seed, "held_out_seed": self.seed}
        return PretrainConfig(**{**values, "batch_size": batch_size, "resume": resume})

    def shaping(self) -> dict[str, Any]:
        """The options that touch the course of the runs, as JSON values."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
            if name not in _NOT_OF_THE_RUNS and name != "corpus"
        }
