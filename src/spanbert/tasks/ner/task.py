"""Entity recognition as a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from spanbert.task import Explanation, Located, Mark, Problem, Scored, Task, Window
from spanbert.tasks.ner.config import EntityDataOptions, EntitySettings
from spanbert.tasks.ner.data import check_entities, describe_entities, read_entities, read_predicted_entities
from spanbert.tasks.ner.decode import decode_entities, fit_thresholds, temperature_of
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, example_from_json, prediction_from_json
from spanbert.tasks.ner.features import make_windows
from spanbert.tasks.ner.golden import golden_entities
from spanbert.tasks.ner.learning import learn_settings
from spanbert.tasks.ner.metrics import EntityComparison

if TYPE_CHECKING:
    from spanbert.task_model import TaskModel
    from spanbert.tokenization import PieceTokenizer


class NamedEntityRecognition(Task[EntityExample, EntityPrediction]):
    """Find the spans of a text that name something, and what kind of thing."""

    name = "ner"
    summary = "find and label entities: CoNLL columns or JSON lines; linear, CRF, BiLSTM-CRF or span head"
    score_rows: ClassVar[Mapping[str, str]] = {"tags": "words", "transitions": "windows", "spans": "spans"}
    data_options = EntityDataOptions
    settings_class = EntitySettings
    finetuning: ClassVar[Mapping[str, Any]] = {"epochs": 5.0, "batch_size": 16}
    plain_text = "line"
    output_formats: ClassVar[Mapping[str, str]] = {"text": "spanbert.tasks.ner.text_answers:TextAnswers"}
    settings: EntitySettings

    @property
    def head_learning_rate(self) -> float | None:
        """One of its own for the span head, which finds nothing for many epochs at the encoder's."""
        return 5e-3 if self.settings.head == "span" else None

    # Data

    @classmethod
    def read(cls, path: str | Path, options: EntityDataOptions) -> Iterator[Located[EntityExample] | Problem]:
        """The examples of a file, columns or JSON lines, and what is wrong with it."""
        return read_entities(path, options)

    @classmethod
    def check(cls, examples: Sequence[Located[EntityExample]], options: EntityDataOptions) -> Iterator[Problem]:
        """Duplicate ids, empty texts, entities that no head, or not this head, can learn."""
        return check_entities(examples, options)

    @classmethod
    def describe(cls, examples: Sequence[EntityExample]) -> dict[str, Mapping[str, int]]:
        """Entities by label, and texts by the entities they have."""
        return describe_entities(examples)

    @classmethod
    def text_of(cls, example: EntityExample) -> str:
        """The text."""
        return example.text

    @classmethod
    def is_answered(cls, example: EntityExample) -> bool:
        """Whether its entities are known."""
        return example.entities is not None

    @classmethod
    def example(cls, record: Mapping[str, Any]) -> EntityExample:
        """An example from JSON: {"id", "text", "entities": [{"start", "end", "label"}]}."""
        return example_from_json(record)

    @classmethod
    def example_from_text(cls, text: str, id: str) -> EntityExample:
        """A text whose entities are not known."""
        return EntityExample(id, text)

    @classmethod
    def prediction(cls, record: Mapping[str, Any]) -> EntityPrediction:
        """A prediction from JSON."""
        return prediction_from_json(record)

    @classmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[EntityExample], options: EntityDataOptions
    ) -> tuple[list[EntityPrediction | None], list[Problem]]:
        """Predictions from our JSON lines, or from columns whose last one is predicted, as conlleval reads them."""
        return read_predicted_entities(path, gold, options)

    @classmethod
    def golden_examples(cls) -> Sequence[EntityExample]:
        """See `golden_entities`."""
        return golden_entities()

    # Learning

    def learn(self, examples: Sequence[EntityExample]) -> Self:
        """See `learn_settings`."""
        return type(self)(learn_settings(examples, self.settings))

    def stratum(self, example: EntityExample) -> str:
        """The labels that occur in it."""
        return " ".join(sorted({entity.label for entity in example.entities or ()}))

    def group(self, example: EntityExample) -> str:
        """Its document, where files name it."""
        return example.id if example.document is None else example.document

    def model_class(self) -> type[TaskModel]:
        """The model for the head that the settings name."""
        from spanbert.tasks.ner import head

        if self.settings.head == "linear":
            return head.SpanBertForTokenClassification
        return head.SpanBertForSpanClassification if self.settings.head == "span" else head.SpanBertForCrfTagging

    def model_fields(self) -> dict[str, Any]:
        """The names of the outputs: tags, or labels of the span head."""
        names = self.settings.labels if self.settings.head == "span" else self.settings.tags
        return {
            "id2label": {str(number): name for number, name in enumerate(names)},
            "label2id": {name: number for number, name in enumerate(names)},
        }

    def features(self, example: EntityExample, tokenizer: PieceTokenizer, *, training: bool) -> list[Window]:
        """The windows of an example."""
        return make_windows(example, self.settings, tokenizer, training=training)

    def decode(self, scored: Scored[EntityExample]) -> EntityPrediction:
        """The entities of one text."""
        return decode_entities(scored, self.settings)

    def calibrate(self, scored: Sequence[Scored[EntityExample]]) -> Self:
        """Fit the span head's thresholds, and the temperature of probabilities."""
        settings = self.settings
        if settings.head == "span":
            settings = replace(settings, thresholds=fit_thresholds(scored, settings))
        return type(self)(replace(settings, temperature=temperature_of(scored, settings)))

    # Measuring

    @property
    def main_metric(self) -> str:
        """Micro F1 of whole entities."""
        return "f1"

    @classmethod
    def compare(
        cls, gold: Sequence[EntityExample], predicted: Sequence[EntityPrediction | None], options: EntityDataOptions
    ) -> EntityComparison:
        """Whole entities, as conlleval and seqeval count them, and partial matches."""
        return EntityComparison(gold, predicted)

    def explain(self, example: EntityExample, prediction: EntityPrediction) -> Explanation:
        """The text with its right, wrong and missed entities marked."""
        gold = set(example.entities or ())
        found = {entity.span for entity in prediction.entities}
        marks = [Mark(*span, "right" if span in gold else "wrong") for span in found]
        marks += [Mark(*span, "missed") for span in gold - found]
        return Explanation(
            text=example.text,
            marks=sorted(marks, key=lambda mark: (mark.start, -mark.end, mark.label)),
            gold=_listed([(example.text[span.start : span.end], span.label) for span in sorted(gold)]),
            predicted=_listed([(entity.text, entity.label) for entity in prediction.entities]),
        )


def _listed(entities: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{text} ({label})" for text, label in entities) or "no entity"
