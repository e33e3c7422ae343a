"""Options of the relations task. Free of torch, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from spanbert.class_weights import ClassWeights
from spanbert.errors import ConfigurationError
from spanbert.task import TaskSettings

SHORTEST_WINDOW = 16


@dataclass(frozen=True, kw_only=True)
class RelationOptions:
    """How files of relations are read and scored."""

    no_relation: str | None = None
    """The label of a pair without a relation, which precision, recall and F1 leave out. By default "Other" where the
    data have it and no "no_relation" (SemEval), otherwise "no_relation" (TACRED)."""

    max_pair_distance: int = 100
    """In documents, the most words between two entities that are judged as a pair; pairs farther apart are left out,
    and counted. Pairs that the data name themselves are always judged."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.no_relation is not None and not self.no_relation.strip():
            raise ConfigurationError("--no-relation must not be empty")
        if self.max_pair_distance < 0:
            raise ConfigurationError(
                f"--max-pair-distance is a number of words from 0 on, not {self.max_pair_distance}"
            )


@dataclass(frozen=True, kw_only=True)
class RelationSettings(TaskSettings, RelationOptions):
    """What shapes a model of relations, and what it learned beside its weights."""

    max_length: int = 256
    """Most pieces of a window, special pieces included. A pair is shown with as much of the text around it as fits; of
    a pair that is farther apart, the parts around each of the two spans."""

    entities: Literal["typed-markers", "type-tokens", "plain"] = "typed-markers"
    """How the encoder sees the two spans of a pair. typed-markers: [SUBJ-PERSON] before and [/SUBJ-PERSON] after; best
    where types are missing (SemEval). type-tokens: one token of the type in the span's place, as the paper does for
    TACRED. plain: the text as it is, all pairs of a window in one pass of the encoder, for documents with many
    entities; needs --vector spans."""

    vector: Literal["cls", "spans"] = "cls"
    """What is scored. cls: the state of [CLS], as in the paper. spans: the states at the boundaries of the two spans
    (their markers or type tokens, where there are any)."""

    class_weights: ClassWeights = "none"
    """balanced: in training, rare relations weigh as much as frequent ones, and as pairs without a relation."""

    show_all_pairs: bool = False
    """In documents, let predictions also list the pairs that are judged to have no relation; pairs that the data name
    themselves are always listed."""

    labels: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """The relations, the label of a pair without one included."""

    entity_types: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """Types that the training data have; others are shown as entities without a type."""

    label_weights: Annotated[tuple[float, ...], tyro.conf.Suppress] = ()
    """Weight of each label in the loss; learned, empty for none."""

    temperature: Annotated[float, tyro.conf.Suppress] = 1.0
    """By which scores are divided, so that probabilities mean what they say on the development set."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ConfigurationError: an option is out of range, or two contradict each other.
        """
        super().__post_init__()
        if self.entities == "plain" and self.vector == "cls":
            raise ConfigurationError(
                "--entities plain marks no pair, so [CLS] cannot tell pairs apart: add --vector spans, or choose "
                "--entities typed-markers"
            )
        if self.max_length < SHORTEST_WINDOW:
            raise ConfigurationError(f"--max-length must be {SHORTEST_WINDOW} or more, not {self.max_length}")
