"""Options of classification: how its files are read, and what shapes its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from spanbert.class_weights import ClassWeights
from spanbert.task import TaskSettings

Kind = Literal["auto", "single-label", "multi-label", "regression"]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How a file is read: .csv, .tsv, .txt, .jsonl, each also .gz or .zst, or "-" (JSON lines, or a tab
    or else a comma between columns)."""

    kind: Kind = "auto"
    """What is predicted of a text: one label, any number of labels, or a number. auto: several labels where the file
    has lists of labels or --label-separator is given, one label otherwise."""

    text_column: str = "text"
    """Column (JSON key) of the text."""

    pair_column: str | None = None
    """Column (JSON key) of a second text, when pairs of texts are classified."""

    label_column: str = "label"
    """Column (JSON key) of the label, of a list of labels (JSON), or of the number to predict."""

    id_column: str | None = None
    """Column (JSON key) that names each example; without it "id" where there is one, else the line number."""

    document_column: str | None = None
    """Column (JSON key) that names the document a text comes from: a split without a --dev file keeps the texts of one
    document on one side. Without it "document" where there is one."""

    header: bool = True
    """Whether the first row names the columns. With --no-header they are called 0, 1, 2, ..."""

    separator: str | None = None
    """What stands between two columns, of one character or more, "\\t" for a tab; by default a comma in .csv and a tab
    in .tsv and .txt. Where a row without header has too many separators, they belong to its text, unless there is a
    pair."""

    quotes: Literal["auto", "yes", "no"] = "auto"
    """Whether a column may stand in double quotes and then hold separators and line breaks. auto: with a comma or a
    semicolon as separator; otherwise a quotation mark is a character like any other."""

    label_separator: str | None = None
    """What stands between the labels of one text, as in "sport|politics"."""

    encoding: str = "utf-8"
    """Character encoding of the file, by Python's names."""


@dataclass(frozen=True, kw_only=True)
class Settings(TaskSettings, DataOptions):
    """Options of a classifier."""

    max_length: int = 256
    """Most pieces of a window, special pieces included; longer text is read in several overlapping windows."""

    stride: int = 32
    """Pieces by which neighbouring windows of one text overlap."""

    windows: Literal["mean", "max", "attention"] = "mean"
    """How the windows of a long text become one: the mean or the maximum of their pooled states, or a mean whose
    weights are learned."""

    training_windows: int = 8
    """Most windows of one text in training, spread evenly over it; prediction reads all of them."""

    class_weights: ClassWeights = "none"
    """balanced: in training, rare labels weigh as much as frequent ones."""

    labels: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()
    """The labels, in the order of the scores; learned."""

    label_weights: Annotated[tuple[float, ...], tyro.conf.Suppress] = ()
    """Weight of each label in the loss (of its presence, with several labels); learned, empty for none."""

    value_mean: Annotated[float, tyro.conf.Suppress] = 0.0
    """Mean of the training numbers (regression); learned."""

    value_deviation: Annotated[float, tyro.conf.Suppress] = 1.0
    """Standard deviation of the training numbers (regression); learned."""

    temperature: Annotated[float, tyro.conf.Suppress] = 1.0
    """What scores are divided by before they become probabilities; learned from the development set."""

    thresholds: Annotated[tuple[float, ...], tyro.conf.Suppress] = ()
    """Probability from which a text has each label (several labels); learned, empty for 0.5 throughout."""
