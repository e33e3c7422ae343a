"""The options of question answering and what its models learn beside their weights. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from spanbert.errors import ConfigurationError
from spanbert.task import TaskSettings

Rules = Literal["auto", "squad", "cmrc"]


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringData:
    """How files with questions are read and answers compared. The format of a file is found by looking at it."""

    rules: Rules = "auto"
    """Whose rules say that two answers are the same: those of SQuAD (also MRQA's), or those of CMRC 2018 for Chinese;
    auto takes CMRC's where more than half of the right answers hold Chinese characters."""


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringSettings(TaskSettings, QuestionAnsweringData):
    """Options of question answering."""

    max_answer_length: int = 30
    """Most word pieces of a predicted answer. (Training learns from longer answers too.)"""

    num_answers: int = 5
    """Most answers that are given to a question, the best first."""

    abstains: Annotated[bool, tyro.conf.Suppress] = False
    """Whether the training data held questions without an answer; a model that never saw one always answers."""

    no_answer_threshold: Annotated[float, tyro.conf.Suppress] = 0.0
    """The question is left without an answer where the score of "no answer" exceeds that of the best answer by more."""

    no_answer_slope: Annotated[float, tyro.conf.Suppress] = 1.0
    """P(no answer) = sigmoid(slope * (score of "no answer" - score of the best answer) + bias)."""

    no_answer_bias: Annotated[float, tyro.conf.Suppress] = 0.0
    """See the slope."""

    temperature: Annotated[float, tyro.conf.Suppress] = 1.0
    """Scores of answers are divided by this before they become probabilities."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.max_length < 8:
            raise ConfigurationError(f"--max-length must be 8 at least, not {self.max_length}")
        if not 0 <= self.stride < self.max_length:
            raise ConfigurationError(f"--stride lies from 0 to below --max-length, not at {self.stride}")
        for name in ("max_answer_length", "num_answers"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"--{name.replace('_', '-')} must be 1 at least, not {getattr(self, name)}")
