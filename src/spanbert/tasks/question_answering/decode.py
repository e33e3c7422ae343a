"""From the scores of a question's windows to its answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanbert.task import Scored
from spanbert.tasks.question_answering.config import QuestionAnsweringSettings
from spanbert.tasks.question_answering.examples import PredictedAnswer, QuestionExample, QuestionPrediction
from spanbert.tasks.question_answering.features import Place

FloatArray = npt.NDArray[np.float64]

NUM_CANDIDATES = 20
"""Answers of a question whose probabilities make up 1 (with "no answer")."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A stretch of a document that may be the answer."""

    document: int
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best answers to a question by score, best first, and the score of "no answer"."""

    answers: tuple[Candidate, ...]
    null_score: float

    @property
    def margin(self) -> float:
        """By how much "no answer" scores above the best answer; infinite where there is nothing to answer with."""
        return self.null_score - self.answers[0].score if self.answers else float("inf")


def find_candidates(scored: Scored[QuestionExample], max_answer_length: int) -> Candidates:
    """All stretches of up to `max_answer_length` pieces are weighed; of those with the same text, the best one stays.

    The score of "no answer" is the lowest over the windows, as in the SQuAD 2.0 recipe (Devlin et al. 2019, 4.3): one
    window that is sure of an answer is enough.
    """
    found: list[npt.NDArray[np.float64]] = []
    null_score = float("inf")
    for window, scores in zip(scored.windows, scored.scores, strict=True):
        place: Place = window.place
        start, end = scores["start"].astype(np.float64), scores["end"].astype(np.float64)
        null_score = min(null_score, float(start[0] + end[0]))
        stop = place.first + len(place.offsets)
        first, last, values = _best_spans(start[place.first : stop], end[place.first : stop], max_answer_length)
        columns = (np.full(len(values), place.document), place.offsets[first, 0], place.offsets[last, 1], -values)
        found.append(np.stack(columns, axis=1))
    table = np.concatenate(found)
    # Best first; between equals the earlier and shorter one, so that nothing depends on the order of windows.
    table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0], table[:, 3]))]
    answers: dict[tuple[int, str], Candidate] = {}
    for document, start_, end_, negative in table.tolist():
        if len(answers) == NUM_CANDIDATES:
            break
        candidate = _candidate(scored.example.contexts[int(document)], int(document), int(start_), int(end_), -negative)
        if candidate is not None:
            answers.setdefault((candidate.document, candidate.text), candidate)
    return Candidates(tuple(answers.values()), null_score)


def _best_spans(
    start: FloatArray, end: FloatArray, max_length: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray]:
    """First and last pieces and scores of the best spans of a window's n pieces; more than are needed, since texts of
    several may be the same."""
    width = min(max_length, len(start))
    if width == 0:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros(0)
    behind = np.concatenate((end, np.full(width - 1, -np.inf)))
    sums = start[:, None] + np.lib.stride_tricks.sliding_window_view(behind, width)  # [n, width]
    flat = sums.ravel()
    number = min(4 * NUM_CANDIDATES, len(flat))
    best = np.argpartition(-flat, number - 1)[:number]
    best = best[np.isfinite(flat[best])]
    first, length = np.divmod(best, width)
    return first, first + length, flat[best]


def _candidate(context: str, document: int, start: int, end: int, score: float) -> Candidate | None:
    """The candidate; None where it has nothing that can be seen."""
    text = context[start:end]
    return None if not text or text.isspace() else Candidate(document, start, end, text, score)


def decode_question(scored: Scored[QuestionExample], settings: QuestionAnsweringSettings) -> QuestionPrediction:
    """The prediction for one question."""
    candidates = find_candidates(scored, settings.max_answer_length)
    no_answer = no_answer_probability(candidates.margin, settings) if settings.abstains else None
    shares = softmax(np.array([[answer.score for answer in candidates.answers]]) / settings.temperature)[0]
    answers = tuple(
        PredictedAnswer(
            text=answer.text,
            start=answer.start,
            end=answer.end,
            document=answer.document,
            score=answer.score,
            probability=float(share * (1 - (no_answer or 0.0))),
        )
        for answer, share in zip(candidates.answers[: settings.num_answers], shares, strict=False)
    )
    abstains = settings.abstains and candidates.margin > settings.no_answer_threshold
    return QuestionPrediction(
        id=scored.example.id,
        text=answers[0].text if answers and not abstains else "",
        answers=answers,
        no_answer_probability=no_answer,
        null_score=candidates.null_score,
        question_pieces_cut=scored.windows[0].place.question_pieces_cut,
    )


def no_answer_probability(margin: float, settings: QuestionAnsweringSettings) -> float:
    """P(no answer) of a margin of "no answer" over the best answer."""
    if margin == float("inf"):
        return 1.0
    return float(sigmoid(np.array(settings.no_answer_slope * margin + settings.no_answer_bias)))


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), for any x."""
    return 0.5 * (1 + np.tanh(x / 2))


def softmax(scores: FloatArray) -> FloatArray:
    """[E, K] -> [E, K], rows that make up 1; minus infinity stands for nothing."""
    if not scores.shape[1]:
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
