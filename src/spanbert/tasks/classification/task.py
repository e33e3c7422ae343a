"""Classification as a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from spanbert.task import Comparison, Explanation, Located, Problem, Scored, Task, Window
from spanbert.tasks.classification.config import DataOptions, Settings
from spanbert.tasks.classification.data import check_examples, describe_examples, read_examples
from spanbert.tasks.classification.decode import decode_scores
from spanbert.tasks.classification.examples import (
    ClassificationExample,
    ClassificationPrediction,
    example_from_json,
    prediction_from_json,
    show_answer,
)
from spanbert.tasks.classification.features import make_windows
from spanbert.tasks.classification.golden import golden_reviews
from spanbert.tasks.classification.learning import calibrate_settings, learn_settings
from spanbert.tasks.classification.metrics import compare
from spanbert.tasks.classification.prediction_files import read_prediction_file

if TYPE_CHECKING:
    from spanbert.task_model import TaskModel
    from spanbert.tokenization import PieceTokenizer

_MAIN_METRICS = {"multi-label": "micro_f1", "regression": "pearson"}
_PROBLEM_TYPES = {
    "single-label": "single_label_classification",
    "multi-label": "multi_label_classification",
    "regression": "regression",
}


class Classification(Task[ClassificationExample, ClassificationPrediction]):
    """Texts or pairs of texts that get a label, any number of labels, or a number.

    Long texts are read in overlapping windows whose pooled states become one; the loss is about the whole text.
    """

    name: ClassVar[str] = "classification"
    summary: ClassVar[str] = "label texts or pairs of texts: sentiment, topic, entailment, similarity"
    unit: ClassVar = "example"
    score_rows: ClassVar[Mapping[str, str]] = {"labels": "examples"}
    data_options: ClassVar[type[DataOptions]] = DataOptions
    settings_class: ClassVar[type[Settings]] = Settings
    # Of the grid of Joshi et al. 2020 (appendix B): 5e-6 to 5e-5, batches of 16 or 32, 4 or 10 epochs.
    learning_rate = 3e-5
    finetuning: ClassVar[Mapping[str, Any]] = {"epochs": 4, "batch_size": 32}
    plain_text: ClassVar = "line"
    output_formats: ClassVar[Mapping[str, str]] = {"text": "spanbert.tasks.classification.text_answers:TextAnswers"}

    settings: Settings

    @classmethod
    def read(cls, path: str | Path, options: DataOptions) -> Iterator[Located[ClassificationExample] | Problem]:
        """See `read_examples`."""
        return read_examples(path, options)

    @classmethod
    def check(cls, examples: Sequence[Located[ClassificationExample]], options: DataOptions) -> Iterator[Problem]:
        """See `check_examples`; with the settings of a trained model, labels that it does not know are problems."""
        return check_examples(examples, options.labels if isinstance(options, Settings) else ())

    @classmethod
    def describe(cls, examples: Sequence[ClassificationExample]) -> dict[str, Mapping[str, int]]:
        """See `describe_examples`."""
        return describe_examples(examples)

    @classmethod
    def text_of(cls, example: ClassificationExample) -> str:
        """The text, the pair behind it."""
        return example.text if example.pair is None else f"{example.text}\n{example.pair}"

    @classmethod
    def is_answered(cls, example: ClassificationExample) -> bool:
        """Whether its label or number is known."""
        return example.label is not None

    @classmethod
    def example(cls, record: Mapping[str, Any]) -> ClassificationExample:
        """See `example_from_json`."""
        return example_from_json(record)

    @classmethod
    def example_from_text(cls, text: str, id: str) -> ClassificationExample:
        """A text to classify; raises InputError where there is nothing to read in it."""
        return example_from_json({"id": id, "text": text})

    @classmethod
    def prediction(cls, record: Mapping[str, Any]) -> ClassificationPrediction:
        """See `prediction_from_json`."""
        return prediction_from_json(record)

    @classmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[ClassificationExample], options: DataOptions
    ) -> tuple[list[ClassificationPrediction | None], list[Problem]]:
        """See `read_prediction_file`."""
        return read_prediction_file(path, gold, options)

    @classmethod
    def golden_examples(cls) -> Sequence[ClassificationExample]:
        """See `golden_reviews`."""
        return golden_reviews()

    def learn(self, examples: Sequence[ClassificationExample]) -> Self:
        """See `learn_settings`."""
        return type(self)(learn_settings(examples, self.settings))

    def stratum(self, example: ClassificationExample) -> str | None:
        """The label or labels."""
        return None if example.label is None or isinstance(example.label, float) else show_answer(example.label)

    def group(self, example: ClassificationExample) -> str:
        """Its document, where files name it; or the text itself: one that occurs twice is not on both sides."""
        return self.text_of(example) if example.document is None else example.document

    def model_class(self) -> type[TaskModel]:
        """`SpanBertForTextClassification`."""
        from spanbert.tasks.classification.head import SpanBertForTextClassification

        return SpanBertForTextClassification

    def model_fields(self) -> dict[str, Any]:
        """What transformers' BertForSequenceClassification needs; a regression has one nameless label, as there."""
        labels = self.settings.labels if self.settings.kind != "regression" else ("LABEL_0",)
        return {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: number for number, label in enumerate(labels)},
            "problem_type": _PROBLEM_TYPES[self.settings.kind],
        }

    def features(self, example: ClassificationExample, tokenizer: PieceTokenizer, *, training: bool) -> list[Window]:
        """See `make_windows`."""
        return make_windows(example, tokenizer, self.settings, training=training)

    def decode(self, scored: Scored[ClassificationExample]) -> ClassificationPrediction:
        """The answer with the best score, or all labels above their thresholds, or the number."""
        return decode_scores(scored.example.id, scored.scores[0]["labels"][0], self.settings)

    def calibrate(self, scored: Sequence[Scored[ClassificationExample]]) -> Self:
        """See `calibrate_settings`."""
        if not scored:
            return self
        logits = np.stack([item.scores[0]["labels"][0] for item in scored])
        return type(self)(calibrate_settings(logits, [item.example.label for item in scored], self.settings))

    @property
    def main_metric(self) -> str:
        """Accuracy, micro F1 with several labels, Pearson's correlation for numbers."""
        return _MAIN_METRICS.get(self.settings.kind, "accuracy")

    @classmethod
    def compare(
        cls,
        gold: Sequence[ClassificationExample],
        predicted: Sequence[ClassificationPrediction | None],
        options: DataOptions,
    ) -> Comparison:
        """See `spanbert.tasks.classification.metrics`."""
        return compare(gold, predicted)

    def explain(self, example: ClassificationExample, prediction: ClassificationPrediction) -> Explanation:
        """The text with the right and the predicted answer."""
        probabilities = dict(prediction.probabilities)
        predicted = show_answer(prediction.label)
        if isinstance(prediction.label, str) and prediction.label in probabilities:
            predicted = f"{prediction.label} ({probabilities[prediction.label]:.1%})"
        gold = "" if example.label is None else show_answer(example.label)
        return Explanation(text=example.text, marks=(), gold=gold, predicted=predicted, question=example.pair)
