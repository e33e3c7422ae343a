"""Coreference resolution as a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from spanbert.errors import InputError
from spanbert.task import Explanation, Located, Mark, Problem, Scored, Task, Window
from spanbert.tasks.coreference.checks import check_coreference
from spanbert.tasks.coreference.config import CoreferenceDataOptions, CoreferenceSettings
from spanbert.tasks.coreference.data import describe_coreference, read_coreference
from spanbert.tasks.coreference.decode import calibrated, decode_clusters
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction
from spanbert.tasks.coreference.features import make_training_units, make_windows
from spanbert.tasks.coreference.golden import golden_examples
from spanbert.tasks.coreference.json_records import example_from_json, prediction_from_json
from spanbert.tasks.coreference.metrics import CoreferenceComparison
from spanbert.tasks.coreference.prediction_files import read_predicted_clusters
from spanbert.tasks.coreference.scores import cluster_of_mentions
from spanbert.text_columns import is_by_character

if TYPE_CHECKING:
    from spanbert.task_model import TaskModel
    from spanbert.tokenization import PieceTokenizer

_SHARE_OF_SINGLETONS = 0.05
"""Data with fewer clusters of one mention does not mark singletons; the few are oversights."""


class CoreferenceResolution(Task[CoreferenceExample, CoreferencePrediction]):
    """Find the mentions of a document, and which of them are the same thing."""

    name = "coreference"
    summary = "find and link mentions of the same thing: CoNLL-2012 and its short form, JSON lines, GAP"
    unit: ClassVar[Literal["window", "example"]] = "example"
    score_rows: ClassVar[Mapping[str, str]] = {
        "mentions": "slots",
        "mention_scores": "slots",
        "antecedents": "slots",
        "antecedent_scores": "slots",
    }
    choices = frozenset({"mentions", "antecedents"})
    data_options = CoreferenceDataOptions
    settings_class = CoreferenceSettings
    learning_rate = 1e-4
    finetuning: ClassVar[Mapping[str, Any]] = {"head_learning_rate": 5e-4, "epochs": 10.0, "batch_size": 1}
    id_keys = ("id", "doc_key")
    plain_text = "file"
    output_formats: ClassVar[Mapping[str, str]] = {
        "html": "spanbert.tasks.coreference.html_answers:HtmlAnswers",
        "text": "spanbert.tasks.coreference.text_answers:TextAnswers",
        "conll": "spanbert.tasks.coreference.conll_writer:ConllAnswers",
    }
    settings: CoreferenceSettings

    # Data

    @classmethod
    def read(cls, path: str | Path, options: CoreferenceDataOptions) -> Iterator[Located[CoreferenceExample] | Problem]:
        """The documents of a file, and what is wrong with it."""
        return read_coreference(path, options)

    @classmethod
    def check(
        cls, examples: Sequence[Located[CoreferenceExample]], options: CoreferenceDataOptions
    ) -> Iterator[Problem]:
        """Clusters that cross, mentions that come twice or are too wide to be found, duplicate ids, empty texts."""
        return check_coreference(examples, options)

    @classmethod
    def describe(cls, examples: Sequence[CoreferenceExample]) -> dict[str, Mapping[str, int]]:
        """Clusters by size, mentions by width, documents by genre."""
        return describe_coreference(examples)

    @classmethod
    def text_of(cls, example: CoreferenceExample) -> str:
        """The document."""
        return example.text

    @classmethod
    def is_answered(cls, example: CoreferenceExample) -> bool:
        """Whether its clusters are known."""
        return example.clusters is not None

    @classmethod
    def example(cls, record: Mapping[str, Any]) -> CoreferenceExample:
        """A document from JSON: {"id", "text", "clusters": [[[start, end], ...], ...]}."""
        return example_from_json(record)

    @classmethod
    def example_from_text(cls, text: str, id: str) -> CoreferenceExample:
        """A text whose clusters are not known."""
        return CoreferenceExample(id, text)

    @classmethod
    def prediction(cls, record: Mapping[str, Any]) -> CoreferencePrediction:
        """A prediction from JSON."""
        return prediction_from_json(record)

    @classmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[CoreferenceExample], options: CoreferenceDataOptions
    ) -> tuple[list[CoreferencePrediction | None], list[Problem]]:
        """Predictions from our JSON lines, CoNLL columns, or GAP's table of answers."""
        return read_predicted_clusters(path, gold, options)

    @classmethod
    def golden_examples(cls) -> Sequence[CoreferenceExample]:
        """Two English and two Chinese documents of the sample corpus."""
        return golden_examples()

    # Learning

    def learn(self, examples: Sequence[CoreferenceExample]) -> Self:
        """Learn which genres there are, and whether singletons and speakers are marked and words are characters.

        Raises:
            InputError: no document has a link.
        """
        clusters = [cluster for example in examples for cluster in example.clusters or ()]
        if not any(len(cluster) > 1 for cluster in clusters):
            raise InputError("the training documents hold no two mentions of one thing: there is nothing to learn")
        singletons = self.settings.singletons
        if singletons is None:
            # What GAP says of A and B is an answer to its question, no annotation of mentions.
            marked = [cluster for e in examples if e.pronoun is None for cluster in e.clusters or ()]
            alone = sum(len(cluster) == 1 for cluster in marked)
            singletons = alone > _SHARE_OF_SINGLETONS * len(marked)
        words = (example.text[start:end] for example in examples for start, end in example.words or ())
        settings = replace(
            self.settings,
            singletons=singletons,
            genres=tuple(sorted({example.genre for example in examples if example.genre is not None})),
            has_speakers=self.settings.speakers and any(example.speakers for example in examples),
            by_character=is_by_character(words),
            only_pronouns=all(example.pronoun is not None for example in examples),
        )
        return type(self)(settings)

    def stratum(self, example: CoreferenceExample) -> str | None:
        """Its genre."""
        return example.genre

    def group(self, example: CoreferenceExample) -> str:
        """What it is a part of, where files say so."""
        return example.id if example.document is None else example.document

    def model_class(self) -> type[TaskModel]:
        """The coarse-to-fine model."""
        from spanbert.tasks.coreference.head import SpanBertForCoreference

        return SpanBertForCoreference

    def features(self, example: CoreferenceExample, tokenizer: PieceTokenizer, *, training: bool) -> list[Window]:
        """The windows of a document."""
        return make_windows(example, self.settings, tokenizer, training=training)

    def training_units(self, example: CoreferenceExample, tokenizer: PieceTokenizer) -> list[list[Window]]:
        """The parts of a document that are learned from together."""
        return make_training_units(example, self.settings, tokenizer)

    def decode(self, scored: Scored[CoreferenceExample]) -> CoreferencePrediction:
        """The clusters of one document."""
        return decode_clusters(scored, self.settings)

    def calibrate(self, scored: Sequence[Scored[CoreferenceExample]]) -> Self:
        """Fit the temperature of links, and the threshold of singletons."""
        return type(self)(calibrated(scored, self.settings))

    # Measuring

    @property
    def main_metric(self) -> str:
        """CoNLL's average of three F1; of a model that learned from GAP alone, GAP's F1."""
        return "gap_f1" if self.settings.only_pronouns else "conll_f1"

    @classmethod
    def compare(
        cls,
        gold: Sequence[CoreferenceExample],
        predicted: Sequence[CoreferencePrediction | None],
        options: CoreferenceDataOptions,
    ) -> CoreferenceComparison:
        """MUC, B-cubed, CEAF-e, LEA, mentions, and GAP's figures."""
        return CoreferenceComparison(gold, predicted)

    def explain(self, example: CoreferenceExample, prediction: CoreferencePrediction) -> Explanation:
        """The text with its mentions: right where mention and link are, each labelled with its cluster."""
        cluster_of = cluster_of_mentions(example.clusters or ())
        marks = []
        for number, cluster in enumerate(prediction.clusters, 1):
            for mention in cluster:
                gold = cluster_of.get(mention.span)
                linked = mention.antecedent is None or cluster_of.get(mention.antecedent) == gold
                marks.append(Mark(*mention.span, str(number), "right" if gold is not None and linked else "wrong"))
        found = {span for cluster in prediction.spans for span in cluster}
        marks += [
            Mark(*span, f"gold {number + 1}", "missed") for span, number in cluster_of.items() if span not in found
        ]
        return Explanation(
            text=example.text,
            marks=sorted(marks, key=lambda mark: (mark.start, -mark.end, mark.label)),
            gold=_listed([[example.text[start:end] for start, end in cluster] for cluster in example.clusters or ()]),
            predicted=_listed([[mention.text for mention in cluster] for cluster in prediction.clusters]),
        )


def _listed(clusters: Sequence[Sequence[str]]) -> str:
    return "; ".join(" = ".join(cluster) for cluster in clusters) or "no cluster"
