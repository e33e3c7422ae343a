"""Estimators for what stands in texts: entities, answers to questions, relations of two spans."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from spanbert.errors import InputError
from spanbert.estimators.base import TaskEstimator
from spanbert.estimators.inputs import is_missing, ragged, rows_of
from spanbert.read_summary import counted
from spanbert.spans import LabelledSpan, spans_from_tags, tags_from_spans
from spanbert.task import Task
from spanbert.text_columns import is_by_character, join_words


class EntityRecognizer(TaskEstimator):
    """Finds the entities of texts, or of sentences that are cut into words.

    Args: see `TaskEstimator`; the head, for example, is `options={"head": "crf"}`.

    A row of X is a text, and its target a list of (start, end, label), half-open, in code points of the text; or a list
    of words, and its target a list of as many tags (IOB1, BIO, BIOES, ...). `predict` answers each row in its own form,
    tags as BIO. `score` is the micro-averaged F1 of entities, from 0 to 1. The targets are ragged, so this is no
    `ClassifierMixin`.

    Example:
        >>> recognizer = EntityRecognizer("bert-base-cased").fit(["I met Ada Lovelace."], [[(6, 18, "PER")]])
        >>> recognizer.predict(["Did Ada write it?"])[0]
        [LabelledSpan(start=4, end=7, label='PER')]
    """

    _task_name = "ner"

    def _begin(self, rows: Sequence[Any], targets: Sequence[Any]) -> None:
        self.by_character_ = is_by_character(word for row in rows if isinstance(row, list) for word in row)

    def _record(self, row: Any) -> dict[str, Any]:
        row = _only_column(row)
        if not isinstance(row, list):
            return {"text": row}
        if not row or not all(isinstance(word, str) and word for word in row):
            raise InputError("a sentence is a list of words, and there must be one at least, none empty")
        text, words = join_words(row, chinese=self.by_character_)
        return {"text": text, "words": [list(word) for word in words]}

    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        if not isinstance(target, list):
            raise InputError(f"a target must be a list of entities or tags, not {target!r}")
        words = record.get("words")
        if words is None:
            return {"entities": target}
        if len(words) != len(target) or not all(isinstance(tag, str) for tag in target):
            raise InputError(f"{counted(len(words), 'word')} need as many tags, not {target!r:.80}")
        spans = spans_from_tags(target)
        return {"entities": [[words[start][0], words[end - 1][1], label] for start, end, label in spans]}

    def predict(self, X: Any) -> npt.NDArray[np.object_]:  # noqa: N803
        """[rows] lists: of entities for a text, of BIO tags for words.

        Raises:
            ValueError: entities of words overlap (with the span head), which tags cannot say: use `predictions`.
        """
        rows = rows_of(X)
        answers: list[list[LabelledSpan] | list[str]] = []
        for row, prediction in zip(rows, self.predictions(rows), strict=True):
            found = [entity.span for entity in prediction.entities]
            words = self._record(row).get("words")
            if words is None:
                answers.append(found)
                continue
            first = {start: number for number, (start, _) in enumerate(words)}
            last = {end: number for number, (_, end) in enumerate(words)}
            spans = [LabelledSpan(first[start], last[end] + 1, label) for start, end, label in found]
            answers.append(tags_from_spans(spans, len(words)))
        return ragged(answers)


class QuestionAnswerer(TaskEstimator):
    """Answers questions with words of a text.

    Args: see `TaskEstimator`.

    A row of X is a question and its context; or X is a DataFrame with the columns "question" and "context". A target is
    the answer's text (its first occurrence in the context is learned from), or {"text": ..., "answer_start": ...}, or a
    list of these where several answers are right; None (or an empty list) says that the context does not answer the
    question. `score` is the F1 of SQuAD, from 0 to 1.
    """

    _task_name = "question-answering"

    def _record(self, row: Any) -> dict[str, Any]:
        if isinstance(row, Mapping):
            return {name: row[name] for name in ("question", "context", "contexts") if row.get(name) is not None}
        if not isinstance(row, list) or len(row) != 2:
            raise InputError('a row is a question and its context, or has the columns "question" and "context"')
        return {"question": row[0], "context": row[1]}

    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        if is_missing(target) or target in ("", []):
            return {"answers": []}
        # Lists of texts and places, as data sets on the hub have them, are one object.
        is_one = isinstance(target, str) or (isinstance(target, Mapping) and not isinstance(target.get("text"), list))
        return {"answers": [target] if is_one else target}

    def _look_at(self, examples: Sequence[Any]) -> None:
        lost = [one.id for one in examples if one.answers and all(answer.start is None for answer in one.answers)]
        if lost:
            warnings.warn(
                f"{len(lost)} answers do not stand in their contexts, and nothing is learned from them: the first in "
                f"row {lost[0]}",
                stacklevel=3,
            )

    def predict(self, X: Any) -> npt.NDArray[np.object_]:  # noqa: N803
        """[rows] the answers' texts; None where the context does not answer the question.

        Only a model that has learned from questions without an answer leaves one without. `predictions` has the places,
        the next best answers and the probabilities.
        """
        return ragged([prediction.text or None for prediction in self.predictions(X)])

    def _figure(self, task: Task[Any, Any]) -> str:
        return "f1"  # a threshold chosen on the very answers that are scored would flatter


class RelationClassifier(ClassifierMixin, TaskEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Says which relation holds between two spans of a text.

    Args: see `TaskEstimator`.

    A row of X is a dict (or X a DataFrame) with "text", "head" and "tail", the last two dicts with "start", "end" and,
    where it is known, "type"; or TACRED's "token", "subj_start", ... A target is the relation. `score` is the official
    figure, from 0 to 1: TACRED's micro F1, or SemEval's macro F1 where relations have a direction.

    Attributes:
        classes_: the relations, sorted, with the one that says there is none.
    """

    _task_name = "relations"
    classes_: npt.NDArray[Any]

    def _begin(self, rows: Sequence[Any], targets: Sequence[Any]) -> None:
        check_classification_targets(targets)
        self.classes_ = np.unique(targets)

    def _record(self, row: Any) -> dict[str, Any]:
        if not isinstance(row, Mapping):
            raise InputError(f'a row is a dict with "text", "head" and "tail", not {type(row).__name__}')
        if "entities" in row:
            raise InputError(
                'a row is one pair, "head" and "tail"; `spanbert finetune relations` takes whole documents'
            )
        return {name: value for name, value in row.items() if name != "relation" and not is_missing(value)}

    def _answer(self, record: Mapping[str, Any], target: Any) -> dict[str, Any]:
        return {"relation": target}

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """[rows] relations."""
        return np.array([prediction.relations[0].label for prediction in self.predictions(X)], self.classes_.dtype)

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """The official figure from 0 to 1, not the accuracy."""
        return TaskEstimator.score(self, X, y)


def _only_column(row: Any) -> Any:
    return next(iter(row.values())) if isinstance(row, Mapping) and len(row) == 1 else row
