"""The options of `spanbert pretrain`. Free of torch, so that `--help` answers at once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.masking_options import MaskingOptions
from spanbert.tasks.pretraining.size_options import SizeOptions
from spanbert.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class _SourceOptions:
    """What a run begins with. A class of its own because `--help` has the options of base classes first."""

    corpus: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CORPUS")]
    """Folder written by `spanbert prepare`."""

    init_from: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Continue from this model: a folder, a hub name, or an original checkpoint; --size is read from it then."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(SizeOptions, _SourceOptions, MaskingOptions, TrainingConfig):
    """Pre-train a SpanBERT on a corpus from `spanbert prepare`.

    Start from scratch at a --size, or continue from a model with --from. The defaults follow the paper (Joshi et al.
    2019): spans masked at 15 %, span boundary objective, single sequences. The folder it writes opens in transformers.
    """

    max_positions: int = 512
    """Rows of the position table of a new model: the longest sequence it can ever read."""

    initializer_range: float = 0.02
    """Standard deviation of a new model's weights. Narrow models learn faster from larger ones, such as 0.05 at 256."""

    dropout: float | None = None
    """Dropout of hidden states; 0.1 for a new model, the model's own with --from."""

    attention_dropout: float | None = None
    """Dropout of attention weights; 0 for a new model, the model's own with --from. Above 0 it costs speed."""

    sbo: bool = True
    """Train the span boundary objective; it is always off for the scheme `pieces`."""

    sbo_positions: int = 20
    """Rows of the boundary objective's position table; pieces of a span beyond them have no boundary loss."""

    nsp: bool = False
    """Two-segment blocks with next-sentence prediction, as in BERT."""

    held_out: float = 0.01
    """Share of the corpus's documents that is never trained on but validated on."""

    held_out_seed: int | None = None
    """Chooses the held-out documents; --seed when not given. Later stages of one training, and runs to compare, take
    another --seed and keep this one, so that none sees the documents of another's validation."""

    validation: tuple[Path, ...] = ()
    """Further corpora to validate on, prepared with the same tokenizer."""

    max_validation_blocks: int = 1024
    """At most so many blocks of each validation set, evenly spread."""

    learning_rate: float = 5e-4
    """Highest learning rate. 5e-4 suits small new models; use about 1e-4 for 12 x 768 and 5e-5 with --from."""

    estimate: bool = False
    """Print parameters, memory and time, measured on a few steps, and do nothing else."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range or contradicts another.
        """
        super().__post_init__()
        if not self.learning_rate:
            raise ConfigurationError("--learning-rate must be above 0, not 0")
        self.masking  # noqa: B018  # it checks its own values
        if not 0 <= (self.held_out_seed or 0) < 2**63:
            raise ConfigurationError(f"--held-out-seed lies between 0 and 2**63 - 1, not at {self.held_out_seed}")
        if not 0 <= self.held_out < 1:
            raise ConfigurationError(f"--held-out is a share from 0 to below 1, not {self.held_out}")
        for name in ("layers", "width", "heads", "max_positions"):
            if (getattr(self, name) or 1) < 1 or getattr(self, name) == 0:
                raise ConfigurationError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")
        if self.max_positions > 1_000_000:
            raise ConfigurationError(f"--max-positions is at most 1,000,000, not {self.max_positions:,}")
        self._refuse_what_has_no_effect()
        smallest = 5 if self.nsp else 3
        if self.sequence_length < smallest:
            raise ConfigurationError(f"--sequence-length must be at least {smallest}, not {self.sequence_length}")
        if self.init_from is None and self.sequence_length > self.max_positions:
            raise ConfigurationError(
                f"--sequence-length {self.sequence_length} needs --max-positions of at least as much, "
                f"not {self.max_positions}"
            )
        if self.sbo_positions < 1:
            raise ConfigurationError(f"--sbo-positions must be at least 1, not {self.sbo_positions}: use --no-sbo")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= (getattr(self, name) or 0.0) < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} is a share from 0 to below 1")
        if not 0 < self.initializer_range <= 1:
            raise ConfigurationError(f"--initializer-range is above 0 and at most 1, not {self.initializer_range}")
        if self.max_validation_blocks < 1:
            raise ConfigurationError(f"--max-validation-blocks must be at least 1, not {self.max_validation_blocks}")
        if self.init_from is not None:
            defaults = {field.name: field.default for field in dataclasses.fields(self)}
            for name in ("size", "layers", "width", "heads", "max_positions", "initializer_range"):
                if getattr(self, name) != defaults[name]:
                    raise ConfigurationError(
                        f"--{name.replace('_', '-')} is for a new model; with --from the model says it: drop either"
                    )
        elif self.shape[1] % self.shape[2]:
            raise ConfigurationError(f"a width of {self.shape[1]} cannot be split into {self.shape[2]} attention heads")

    def _refuse_what_has_no_effect(self) -> None:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        idle = []
        if self.scheme != "spans":
            idle += [(name, f"with the scheme {self.scheme}") for name in ("span_p", "max_span_words")]
        if not self.uses_sbo:
            idle.append(("sbo_positions", "without the span boundary objective"))
        elif self.preset == "as-released":
            idle.append(("sbo_positions", "with --preset as-released, which has 15"))
        for name, reason in idle:
            if getattr(self, name) != defaults[name]:
                raise ConfigurationError(f"--{name.replace('_', '-')} has no effect {reason}: drop it")

    @property
    def uses_sbo(self) -> bool:
        """Whether there is a span boundary objective: single pieces have no boundaries to learn from."""
        return self.sbo and self.scheme != "pieces"
