"""Relations between two spans as a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from spanbert.class_weights import balanced_weights
from spanbert.errors import InputError
from spanbert.task import Comparison, Explanation, Located, Mark, Problem, Scored, Task, Window
from spanbert.tasks.relations.checks import check_relations, describe_relations
from spanbert.tasks.relations.config import RelationOptions, RelationSettings
from spanbert.tasks.relations.data import read_relations
from spanbert.tasks.relations.decode import decode_relations, temperature_of
from spanbert.tasks.relations.examples import RelationExample, RelationPrediction
from spanbert.tasks.relations.features import relation_windows
from spanbert.tasks.relations.golden import golden_relations
from spanbert.tasks.relations.json_records import parse_example, parse_prediction
from spanbert.tasks.relations.markers import special_pieces
from spanbert.tasks.relations.metrics import RelationComparison, is_directed
from spanbert.tasks.relations.pairs import gold_labels, judged_pairs, negative_label
from spanbert.tasks.relations.prediction_files import read_relation_predictions

if TYPE_CHECKING:
    from spanbert.task_model import TaskModel
    from spanbert.tokenization import PieceTokenizer


class RelationExtraction(Task[RelationExample, RelationPrediction]):
    """What holds between two spans of a text (TACRED, SemEval-2010 task 8), or between all entities of a document."""

    name: ClassVar[str] = "relations"
    summary: ClassVar[str] = "relations between two spans of a text, or all entities of a document"
    score_rows: ClassVar[Mapping[str, str]] = {"relations": "pairs"}
    data_options: ClassVar[type[Any]] = RelationOptions
    settings_class: ClassVar[type[Any]] = RelationSettings
    finetuning: ClassVar[Mapping[str, Any]] = {"epochs": 5.0, "batch_size": 32}
    output_formats: ClassVar[Mapping[str, str]] = {"text": "spanbert.tasks.relations.text_answers:TextAnswers"}

    settings: RelationSettings

    @classmethod
    def read(cls, path: str | Path, options: Any) -> Iterator[Located[RelationExample] | Problem]:
        """See `Task`: JSON lines, TACRED's JSON array, or SemEval-2010 task 8; told apart by their beginning."""
        return read_relations(path)

    @classmethod
    def check(cls, examples: Sequence[Located[RelationExample]], options: Any) -> Iterator[Problem]:
        """See `Task`."""
        return check_relations(examples, options)

    @classmethod
    def describe(cls, examples: Sequence[RelationExample]) -> dict[str, Mapping[str, int]]:
        """See `Task`."""
        return describe_relations(examples, RelationOptions())

    @classmethod
    def text_of(cls, example: RelationExample) -> str:
        """See `Task`."""
        return example.text

    @classmethod
    def is_answered(cls, example: RelationExample) -> bool:
        """Whether its relations are known."""
        return example.relations is not None

    @classmethod
    def example(cls, record: Mapping[str, Any]) -> RelationExample:
        """See `Task`."""
        return parse_example(record)

    @classmethod
    def prediction(cls, record: Mapping[str, Any]) -> RelationPrediction:
        """See `Task`."""
        return parse_prediction(record)

    @classmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[RelationExample], options: Any
    ) -> tuple[list[RelationPrediction | None], list[Problem]]:
        """See `Task`: JSON lines by id, `id<TAB>label` (SemEval), or a label a line in order (TACRED)."""
        return read_relation_predictions(path, gold, _negative(gold, options))

    @classmethod
    def golden_examples(cls) -> Sequence[RelationExample]:
        """See `Task`."""
        return golden_relations()

    def learn(self, examples: Sequence[RelationExample]) -> Self:
        """The task with its labels and entity types.

        Raises:
            InputError: no example has a known answer, or all have the same.
        """
        known = [example for example in examples if example.relations is not None]
        negative = _negative(known, self.settings)
        counts: Counter[str] = Counter()
        for example in known:
            gold = gold_labels(example, negative)
            counts.update(gold.values())
            if example.asked is None:  # all near pairs are judged, and most have no relation
                counts[negative] += max(0, len(judged_pairs(example, self.settings).pairs) - len(gold))
        labels = sorted(counts)
        if len(labels) < 2:
            have = f"only {next(iter(labels))!r}" if labels else "no relation at all"
            raise InputError(f"the training data have {have}: two labels or more are needed, one may be {negative!r}")
        types = {entity.type for example in examples for entity in example.entities if entity.type is not None}
        weights: tuple[float, ...] = ()
        if self.settings.class_weights == "balanced":
            weights = balanced_weights([counts[label] for label in labels])
        settings = replace(
            self.settings,
            labels=tuple(labels),
            entity_types=tuple(sorted(types)),
            no_relation=negative,
            label_weights=weights,
        )
        return type(self)(settings)

    def stratum(self, example: RelationExample) -> str | None:
        """The relation of the one pair of a sentence; the commonest of a document."""
        labels = [relation.label for relation in example.relations or ()]
        return max(sorted(set(labels)), key=labels.count) if labels else None

    def group(self, example: RelationExample) -> str:
        """Its document, where files name it."""
        return example.id if example.document is None else example.document

    @property
    def extra_pieces(self) -> Mapping[str, str]:
        """The special pieces that mark the spans."""
        return special_pieces(self.settings)

    def model_class(self) -> type[TaskModel]:
        """See `Task`."""
        from spanbert.tasks.relations.head import SpanBertForRelations, SpanBertForSpanRelations

        return SpanBertForRelations if self.settings.vector == "cls" else SpanBertForSpanRelations

    def model_fields(self) -> dict[str, Any]:
        """See `Task`."""
        names = dict(enumerate(self.settings.labels))
        return {
            "id2label": {str(number): name for number, name in names.items()},
            "label2id": {name: number for number, name in names.items()},
            "problem_type": "single_label_classification",
        }

    def features(self, example: RelationExample, tokenizer: PieceTokenizer, *, training: bool) -> list[Window]:
        """See `Task`."""
        return relation_windows(example, tokenizer, self.settings, training=training)

    def decode(self, scored: Scored[RelationExample]) -> RelationPrediction:
        """See `Task`."""
        return decode_relations(scored, self.settings)

    def calibrate(self, scored: Sequence[Scored[RelationExample]]) -> Self:
        """The task with the temperature that fits a development set."""
        return type(self)(replace(self.settings, temperature=temperature_of(scored, self.settings)))

    @property
    def main_metric(self) -> str:
        """SemEval's macro F1 where labels have a direction, otherwise TACRED's micro F1."""
        return "macro_f1" if is_directed(self.settings.labels) else "f1"

    @classmethod
    def compare(
        cls, gold: Sequence[RelationExample], predicted: Sequence[RelationPrediction | None], options: Any
    ) -> Comparison:
        """See `Task`."""
        return RelationComparison(gold, predicted, _negative(gold, options))

    def explain(self, example: RelationExample, prediction: RelationPrediction) -> Explanation:
        """The worst pair of the example, with both spans marked."""
        negative = negative_label(self.settings.labels, self.settings)
        gold = gold_labels(example, negative)
        found = {(one.head.index, one.tail.index): one for one in prediction.relations}
        rows = []
        for pair in gold.keys() | found.keys():
            one, right = found.get(pair), gold.get(pair, negative)
            label, probability = (negative, 0.0) if one is None else (one.label, one.probability)
            rows.append((label == right, -probability, pair, right, label))
        if not rows:
            return Explanation(example.text, [], negative, negative)
        is_right, _, pair, right, label = min(rows)
        kind: Literal["right", "missed", "wrong"] = "right" if is_right else "missed" if label == negative else "wrong"
        marks = [
            Mark(entity.start, entity.end, f"{role} {entity.type or ''}".strip(), kind)
            for role, entity in zip(("head", "tail"), (example.entities[number] for number in pair), strict=True)
        ]
        return Explanation(example.text, sorted(marks, key=lambda mark: mark.start), right, label)


def _negative(examples: Sequence[RelationExample], options: RelationOptions) -> str:
    return negative_label((relation.label for example in examples for relation in example.relations or ()), options)
