"""The options of entity recognition. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from spanbert.class_weights import ClassWeights
from spanbert.errors import ConfigurationError
from spanbert.spans import TagScheme
from spanbert.task import TaskSettings

HeadName = Literal["linear", "crf", "bilstm-crf", "span"]


@dataclass(frozen=True, kw_only=True)
class EntityDataOptions:
    """How files of entities are read.

    Names that end in .jsonl or .json are JSON lines with character spans, all others are columns.
    """

    separator: str = "auto"
    """What stands between columns: "auto" (tabs in a sentence that has one, else white space), "tab", "space" (any
    white space), or the separator itself."""

    word_column: int = 0
    """Column of the words, counted from 0; negative numbers count from the last one, which is -1."""

    tag_column: int = -1
    """Column of the tags, counted as above."""

    comment: str = "# "
    """A line that begins so before a sentence's first word is a comment, unless it ends in a tag. Empty: none."""

    encoding: str = "utf-8"
    """Encoding of column files."""

    scheme: Literal["auto"] | TagScheme = "auto"
    """How tags are meant. "auto" finds it out for each file; it decides what is reported as wrong."""

    tag_reading: Literal["conlleval", "strict"] = "conlleval"
    """Which spans tags stand for: as conlleval and seqeval's default read them (I- after O begins an entity), or only
    those that follow the scheme to the letter, as in seqeval's strict mode."""

    context_sentences: int = 0
    """So many sentences before and after each, from the same document, are shown to the encoder as context, as far as
    a window has room. In column files -DOCSTART- lines separate documents; without them the whole file is one."""

    head: HeadName = "linear"
    """What decides: "linear" (each word's tag by itself), "crf" (a linear-chain CRF), "bilstm-crf" (with an LSTM in
    both directions under the CRF), or "span" (each span by itself: also nested and overlapping entities; it learns at
    --head-learning-rate 5e-3 unless told otherwise)."""

    max_entity_width: int = 16
    """Widest entity in words that the span head can find; its time and memory grow with it."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if not self.separator:
            raise ConfigurationError('--separator is empty: give "auto", "tab", "space" or the characters themselves')
        if self.word_column == self.tag_column:
            raise ConfigurationError(f"--word-column and --tag-column are both {self.word_column}")
        if self.context_sentences < 0:
            raise ConfigurationError(f"--context-sentences must not be negative, and is {self.context_sentences}")
        if self.max_entity_width < 1:
            raise ConfigurationError(f"--max-entity-width must be at least 1, not {self.max_entity_width}")


@dataclass(frozen=True, kw_only=True)
class EntitySettings(EntityDataOptions, TaskSettings):
    """What shapes an entity model, and what it learned beside its weights."""

    max_length: int = 256
    """Most pieces of a window, special pieces included; longer text is read in several overlapping windows."""

    stride: int = 64
    """Pieces by which neighbouring windows of one text overlap. The span head finds no entity of more pieces than
    this, unless a window happens to hold it whole."""

    flat: bool | None = None
    """For the span head: forbid entities that overlap, the more probable one stays. Left out: as in the training data.
    The other heads are always flat."""

    class_weights: ClassWeights = "none"
    """balanced: in training, rare kinds of entities weigh as much as frequent ones; with the linear head, as much as
    the words outside of entities too. Not for the heads with a CRF."""

    labels: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """The kinds of entities, in the order of the model's outputs."""

    label_weights: Annotated[tuple[float, ...], tyro.conf.Suppress] = ()
    """Weight of each label in the loss (span head: of its entities), with the linear head after that of O; learned,
    empty for none."""

    by_character: Annotated[bool, tyro.conf.Suppress] = False
    """Whether the words of the training data are characters: raw text is then cut so too."""

    thresholds: Annotated[Mapping[str, float], tyro.conf.Suppress] = field(default_factory=dict)
    """For the span head: by label, the least score (a logistic one, from 0 to 1) of an entity; 0.5 where not named."""

    temperature: Annotated[float, tyro.conf.Suppress] = 1.0
    """Scores are divided by it before they become probabilities; fitted on the development set."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range, or two contradict each other.
        """
        super().__post_init__()
        if self.class_weights == "balanced" and self.head in ("crf", "bilstm-crf"):
            raise ConfigurationError(
                f"--class-weights balanced does not go with --head {self.head}: a CRF learns from the likelihood of "
                "all tags of a text together, in which no single class has a weight; take --head linear or "
                "--head span, or leave --class-weights out"
            )

    @property
    def tags(self) -> tuple[str, ...]:
        """The outputs of the tagging heads: O, then B- and I- of each label."""
        return ("O", *(f"{letter}-{label}" for label in self.labels for letter in "BI"))
