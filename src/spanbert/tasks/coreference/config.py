"""The options of coreference resolution. Free of torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from spanbert.errors import ConfigurationError
from spanbert.task import TaskSettings


@dataclass(frozen=True, kw_only=True)
class CoreferenceDataOptions:
    """How files of coreference are read.

    Names that end in .jsonl or .json are JSON lines, in .tsv GAP's tables, all others CoNLL columns.
    """

    genre: str = "auto"
    """Where a document's genre comes from: "auto" (the key `genre` of JSON lines, the first folder of CoNLL-2012's
    names, the second part of GUM's), "none", or a regular expression whose first group is looked for in the name."""

    mentions: Literal["given", "found"] = "given"
    """Where a record names its mentions: link only these ("given"), or let the model find its own all the same."""

    encoding: str = "utf-8"
    """Encoding of column files and tables."""

    max_span_width: int = 20
    """Widest mention in words that a model can find; time and memory grow with it. What is wider is counted by `check`;
    a trained model keeps its own."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.max_span_width < 1:
            raise ConfigurationError(f"--max-span-width must be at least 1, not {self.max_span_width}")
        if self.genre not in ("auto", "none"):
            try:
                num_groups = re.compile(self.genre).groups
            except re.error as error:
                raise ConfigurationError(f"--genre {self.genre!r} is not a regular expression: {error}") from error
            if num_groups < 1:
                raise ConfigurationError(f'--genre {self.genre!r} has no group: write "auto", "none" or, say, "^(..)/"')


@dataclass(frozen=True, kw_only=True)
class CoreferenceSettings(CoreferenceDataOptions, TaskSettings):
    """What shapes a coreference model, and what it learned beside its weights."""

    max_length: int = 384
    """Most pieces of a window, special pieces included. A longer document is read in several windows; mentions are
    linked across all of them."""

    stride: int = 0
    """Pieces by which neighbouring windows overlap. 0: each is read by itself (Joshi et al. 2019, "independent"),
    which costs least."""

    train_windows: int = 4
    """Most windows of a document that are trained on together. A longer document is trained on in several parts, of
    about equal length; links from one part to another are not learned."""

    top_spans_per_word: float = 0.35
    """Of all spans of a document, so many for each word are kept as mentions that may be linked."""

    max_antecedents: int = 50
    """For each mention kept, so many antecedents before it are compared in detail; a coarse score chooses them."""

    max_antecedent_distance: int = 2000
    """An antecedent further back than so many words is not looked for. With a limit, time grows linearly with the
    length of a document; 0 means no limit."""

    hidden_size: int = 512
    """Width of the two feed-forward networks that score mentions and pairs."""

    head_dropout: float = 0.3
    """Dropout of what the head takes in, and inside its networks."""

    singletons: bool | None = None
    """Find mentions of things that are mentioned once, too. Left out: as in the training data."""

    speakers: bool = True
    """Where the training data says who speaks, tell the model of two mentions whether one speaker says both."""

    genres: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """The genres of the training data; empty where it has none."""

    has_speakers: Annotated[bool, tyro.conf.Suppress] = False
    """Whether the training data says who speaks."""

    by_character: Annotated[bool, tyro.conf.Suppress] = False
    """Whether the words of the training data are characters: raw text is then cut so too."""

    only_pronouns: Annotated[bool, tyro.conf.Suppress] = False
    """Whether the training data is GAP's alone: its question is then what counts."""

    temperature: Annotated[float, tyro.conf.Suppress] = 1.0
    """Scores are divided by it before they become probabilities of links; fitted on the development set."""

    mention_threshold: Annotated[float, tyro.conf.Suppress] = 0.0
    """Least mention score of a singleton; fitted on the development set."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        super().__post_init__()
        for name in ("train_windows", "max_antecedents", "hidden_size"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}")
        if self.max_antecedent_distance < 0:
            raise ConfigurationError(
                f"--max-antecedent-distance must not be negative (0: no limit), and is {self.max_antecedent_distance}"
            )
        if not self.top_spans_per_word > 0:
            raise ConfigurationError(f"--top-spans-per-word must be above 0, not {self.top_spans_per_word}")
        if not 0 <= self.head_dropout < 1:
            raise ConfigurationError(f"--head-dropout is a share from 0 to below 1, not {self.head_dropout}")
