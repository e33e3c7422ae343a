"""Predicted answers against right ones: the figures of SQuAD 1.1 and 2.0, MRQA and CMRC 2018.

Names here and in SQuAD 2.0's official output: `exact_match` is `exact`, `f1` and `total` the same, `has_ans_...` and
`no_ans_...` are `HasAns_...` and `NoAns_...`, `best_exact_match`, `best_exact_match_threshold`, `best_f1` and
`best_f1_threshold` are `best_exact`, `best_exact_thresh`, `best_f1` and `best_f1_thresh`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from spanbert.errors import InputError
from spanbert.task import Comparison, IntArray
from spanbert.tasks.question_answering.config import QuestionAnsweringData
from spanbert.tasks.question_answering.examples import QuestionExample, QuestionPrediction
from spanbert.tasks.question_answering.matching import Matching, choose_matching

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class QuestionComparison(Comparison):
    """Answers compared by the rules of the data set.

    A set with one question or more that has no answer is scored by the rules of SQuAD 2.0: such a question is right
    when it is left without an answer. The best thresholds are searched over `no_answer_probability`, with the best
    answer that is not empty in place of every abstention, wherever each prediction has one.

    A question without any prediction counts as wrong, as in SQuAD 1.1's official script, also where it has no answer.
    (SQuAD 2.0's script stops at it or leaves it out.)

    Raises:
        InputError: the right answers of a question are not known.
    """

    def __init__(
        self,
        gold: Sequence[QuestionExample],
        predicted: Sequence[QuestionPrediction | None],
        options: QuestionAnsweringData,
    ) -> None:
        self._has_answer: BoolArray = np.array([bool(_answers(example)) for example in gold], dtype=np.bool_)
        self._matching = matching_for(gold, options)
        empty = np.zeros(len(gold))
        self._exact, self._f1, self._best_exact, self._best_f1 = (empty.copy() for _ in range(4))
        for index, (example, prediction) in enumerate(zip(gold, predicted, strict=True)):
            if prediction is None:
                continue
            golds = gold_texts(example, self._matching)
            scores = match_best(self._matching, golds, prediction.text)
            self._exact[index], self._f1[index] = scores
            if prediction.best_text != prediction.text:
                scores = match_best(self._matching, golds, prediction.best_text)
            self._best_exact[index], self._best_f1[index] = scores
        self._answered: BoolArray = np.array([p is not None and bool(p.text) for p in predicted], dtype=np.bool_)
        self._could_answer: BoolArray = np.array(
            [p is not None and bool(p.best_text) for p in predicted], dtype=np.bool_
        )
        self._missing: BoolArray = np.array([p is None for p in predicted], dtype=np.bool_)
        self._no_answer = _floats(predicted, lambda prediction: prediction.no_answer_probability)
        self._confidence = _floats(predicted, lambda prediction: prediction.confidence)
        self._no_answer[self._missing] = 0.0
        self._order = np.argsort(self._no_answer, kind="stable")

    @property
    def rules(self) -> str:
        """Whose rules were applied: "squad" or "cmrc"."""
        return self._matching.name

    @property
    def num_examples(self) -> int:
        """E."""
        return len(self._has_answer)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """The official figures over the chosen questions; a share of no questions at all is not a number."""
        if chosen is None:
            times: npt.NDArray[np.int64] = np.ones(self.num_examples, np.int64)
        else:
            times = np.bincount(chosen, minlength=self.num_examples)
        figures = _means("", times, exact_match=self._exact, f1=self._f1)
        if not self._has_answer.all():
            for prefix, group in (("has_ans_", self._has_answer), ("no_ans_", ~self._has_answer)):
                figures |= _means(prefix, times * group, exact_match=self._exact, f1=self._f1)
        if not np.isnan(self._no_answer).any() and not self._missing.all():
            for name, scores in (("best_exact_match", self._best_exact), ("best_f1", self._best_f1)):
                best, threshold = self._best(scores, times)
                figures |= {name: best, f"{name}_threshold": threshold}
        return figures

    def _best(self, scores: FloatArray, times: npt.NDArray[np.int64]) -> tuple[float, float]:
        order = self._order
        total, index = sweep(scores[order], self._has_answer[order], self._could_answer[order], times[order])
        threshold = 0.0 if index < 0 else float(self._no_answer[order[index]])
        return 100 * total / max(1, int(times.sum())), threshold

    def badness(self) -> FloatArray:
        """1 - F1, times a factor from 1/2 to 1 that grows with the confidence."""
        return (1 - self._f1) * (1 + np.nan_to_num(self._confidence, nan=1.0)) / 2

    def confidences(self) -> tuple[FloatArray, BoolArray] | None:
        """Of each question whose decision has a probability, that and whether it is exactly right."""
        known = ~np.isnan(self._confidence)
        return (self._confidence[known], self._exact[known] > 0) if known.any() else None

    def confusions(self) -> Mapping[tuple[str, str], int] | None:
        """Questions with and without an answer against those that got one; None where all have an answer."""
        if self._has_answer.all():
            return None
        kinds = {True: "answer", False: "no answer"}
        return Counter(
            (kinds[bool(has)], "no prediction" if missing else kinds[bool(answered)])
            for has, answered, missing in zip(self._has_answer, self._answered, self._missing, strict=True)
        )


def matching_for(gold: Sequence[QuestionExample], options: QuestionAnsweringData) -> Matching:
    """The rules that a data set is scored by."""
    texts = [answer.text for example in gold for answer in example.answers or ()]
    return choose_matching(options.rules, texts, unanswerable=any(example.answers == () for example in gold))


def gold_texts(example: QuestionExample, matching: Matching) -> list[str]:
    """What predictions are compared with: the right answers of which something counts, or the empty answer."""
    answers = example.answers or ()
    # SQuAD 2.0's script leaves out right answers such as "the"; SQuAD 1.1's does not.
    texts = [answer.text for answer in answers if not (matching.empty_equals_empty and matching.is_empty(answer.text))]
    return texts or [""]


def match_best(matching: Matching, golds: Sequence[str], text: str) -> tuple[float, float]:
    """Exact match and F1 with the right answer that is nearest to a predicted one."""
    if text in golds and not matching.is_empty(text):
        return 1.0, 1.0
    return float(any(matching.exact(gold, text) for gold in golds)), max(matching.f1(gold, text) for gold in golds)


def sweep(scores: FloatArray, has_answer: BoolArray, could_answer: BoolArray, times: IntArray) -> tuple[float, int]:
    """The best sum of scores when the first questions get their answer and the others none (SQuAD 2.0's search).

    Args:
        scores: [E] of the answers, in the order in which "no answer" becomes more likely.
        has_answer: [E] whether there is one; otherwise leaving the question without an answer scores 1.
        could_answer: [E] whether the prediction is not empty to begin with.
        times: [E] how often each question counts.

    Returns:
        The sum, and the index of the last question that gets its answer, -1 for none.
    """
    gains = np.where(has_answer, scores, np.where(could_answer, -1.0, 0.0)) * times
    nothing = float(times[~has_answer].sum())
    sums = nothing + np.cumsum(gains)
    index = int(np.argmax(sums)) if len(sums) else -1
    return (float(sums[index]), index) if index >= 0 and sums[index] > nothing else (nothing, -1)


def _answers(example: QuestionExample) -> Sequence[object]:
    if example.answers is None:
        raise InputError(
            f"the right answers of {example.id!r} are not known: each question to score needs 'answers', "
            "[] where there is none"
        )
    return example.answers


def _floats(
    predicted: Sequence[QuestionPrediction | None], get: Callable[[QuestionPrediction], float | None]
) -> FloatArray:
    """[E] a number of each prediction, not a number where there is none."""
    values = [None if prediction is None else get(prediction) for prediction in predicted]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _means(prefix: str, times: npt.NDArray[np.int64], **columns: FloatArray) -> dict[str, float]:
    total = int(times.sum())
    means = {
        prefix + name: 100 * float(times @ column) / total if total else np.nan for name, column in columns.items()
    }
    return means | {f"{prefix}total": float(total)}
