"""Question answering as a task: what training, prediction and evaluation call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from spanbert.errors import InputError
from spanbert.task import Explanation, Located, Mark, Problem, Scored, Task, Window
from spanbert.tasks.question_answering.calibration import calibrate_settings
from spanbert.tasks.question_answering.config import QuestionAnsweringData, QuestionAnsweringSettings
from spanbert.tasks.question_answering.data import check_questions, describe_questions, read_questions
from spanbert.tasks.question_answering.decode import decode_question
from spanbert.tasks.question_answering.examples import QuestionExample, QuestionPrediction, prediction_from_json
from spanbert.tasks.question_answering.features import ContextCache, question_windows
from spanbert.tasks.question_answering.golden import golden_questions
from spanbert.tasks.question_answering.metrics import QuestionComparison, gold_texts, match_best, matching_for
from spanbert.tasks.question_answering.predictions import read_question_predictions
from spanbert.tasks.question_answering.records import example_of, given_from_json

if TYPE_CHECKING:
    from spanbert.task_model import TaskModel
    from spanbert.tokenization import PieceTokenizer


class QuestionAnswering(Task[QuestionExample, QuestionPrediction]):
    """Extractive question answering over documents of any length (Joshi et al. 2019, section 4.1)."""

    name = "question-answering"
    summary = "find the stretch of a text that answers a question, or say that there is none"
    unit = "window"
    score_rows: ClassVar[Mapping[str, str]] = {"start": "pieces", "end": "pieces"}
    data_options = QuestionAnsweringData
    settings_class = QuestionAnsweringSettings
    # Within the grid of Joshi et al. 2019 (appendix B): four epochs, 16 or 32 windows, 5e-6 to 5e-5.
    learning_rate = 3e-5
    finetuning: ClassVar[Mapping[str, Any]] = {"epochs": 4.0, "batch_size": 16}
    output_formats: ClassVar[Mapping[str, str]] = {"text": "spanbert.tasks.question_answering.text_answers:TextAnswers"}

    settings: QuestionAnsweringSettings

    def __init__(self, settings: QuestionAnsweringSettings) -> None:
        super().__init__(settings)
        self._contexts = ContextCache()

    # Data

    @classmethod
    def read(cls, path: str | Path, options: Any) -> Iterator[Located[QuestionExample] | Problem]:
        """The questions of a file in SQuAD's, MRQA's or CMRC's format or of JSON lines."""
        return read_questions(path)

    @classmethod
    def check(cls, examples: Sequence[Located[QuestionExample]], options: Any) -> Iterator[Problem]:
        """Ids that stand twice, and questions whose answers are not known among others whose are."""
        return check_questions(examples)

    @classmethod
    def describe(cls, examples: Sequence[QuestionExample]) -> dict[str, Mapping[str, int]]:
        """Questions with and without answers, and numbers of right answers and of documents."""
        return describe_questions(examples)

    @classmethod
    def text_of(cls, example: QuestionExample) -> str:
        """The longest document."""
        return max(example.contexts, key=len)

    @classmethod
    def is_answered(cls, example: QuestionExample) -> bool:
        """Whether its answers are known."""
        return example.answers is not None

    @classmethod
    def example(cls, record: Mapping[str, Any]) -> QuestionExample:
        """A question from a JSON object: `question`, `context` or `contexts`, and where there are, `id` and `answers`.

        An answer that does not stand where the record says is put right as in files.
        """
        return example_of(given_from_json(record, default_id="question"))[0]

    @classmethod
    def prediction(cls, record: Mapping[str, Any]) -> QuestionPrediction:
        """A prediction from its JSON object."""
        return prediction_from_json(record)

    @classmethod
    def read_predictions(
        cls, path: str | Path, gold: Sequence[QuestionExample], options: Any
    ) -> tuple[list[QuestionPrediction | None], list[Problem]]:
        """From our JSON lines, or the JSON object id -> text that the official scorers read."""
        return read_question_predictions(path, gold)

    @classmethod
    def golden_examples(cls) -> Sequence[QuestionExample]:
        """See `golden_questions`."""
        return golden_questions()

    # Learning

    def learn(self, examples: Sequence[QuestionExample]) -> Self:
        """Whether there are questions without an answer; a model that never saw one always answers."""
        known = [example.answers for example in examples if example.answers is not None]
        if not any(not answers or any(answer.start is not None for answer in answers) for answers in known):
            raise InputError("nothing can be learned: none of the questions has an answer that stands in its context")
        return type(self)(replace(self.settings, abstains=any(not answers for answers in known)))

    def stratum(self, example: QuestionExample) -> str | None:
        """Whether the question has an answer."""
        return None if example.answers is None else "answerable" if example.answers else "unanswerable"

    def group(self, example: QuestionExample) -> str:
        """The article, or without a title the first document."""
        return example.contexts[0] if example.title is None else example.title

    def model_class(self) -> type[TaskModel]:
        """Start and end scores over an encoder."""
        from spanbert.tasks.question_answering.head import SpanBertForQuestionAnswering

        return SpanBertForQuestionAnswering

    def features(self, example: QuestionExample, tokenizer: PieceTokenizer, *, training: bool) -> list[Window]:
        """The windows of all documents."""
        return question_windows(
            example,
            tokenizer,
            self._contexts.encode(example.contexts, tokenizer),
            max_length=self.settings.max_length,
            stride=self.settings.stride,
            training=training,
        )

    def decode(self, scored: Scored[QuestionExample]) -> QuestionPrediction:
        """The best answers over all windows, or none."""
        return decode_question(scored, self.settings)

    def calibrate(self, scored: Sequence[Scored[QuestionExample]]) -> Self:
        """The task with temperature, no-answer probability and no-answer threshold fitted."""
        return type(self)(calibrate_settings(scored, self.settings))

    # Measuring

    @property
    def main_metric(self) -> str:
        """F1; of a model that may leave questions open, at the best threshold."""
        return "best_f1" if self.settings.abstains else "f1"

    @classmethod
    def compare(
        cls, gold: Sequence[QuestionExample], predicted: Sequence[QuestionPrediction | None], options: Any
    ) -> QuestionComparison:
        """The figures of the official scorers."""
        return QuestionComparison(gold, predicted, options)

    def explain(self, example: QuestionExample, prediction: QuestionPrediction) -> Explanation:
        """The documents with right answers and the predicted one."""
        matching = matching_for([example], self.settings)
        right = bool(match_best(matching, gold_texts(example, matching), prediction.text)[0])
        begins = [0]
        for context in example.contexts:
            begins.append(begins[-1] + len(context) + 2)
        marks: list[Mark] = []
        for answer in example.answers or ():
            if not right and answer.start is not None and answer.end is not None:
                begin = begins[answer.document]
                marks.append(Mark(begin + answer.start, begin + answer.end, "right answer", "missed"))
        if prediction.text and prediction.answers:
            best = prediction.answers[0]
            begin = begins[best.document]
            marks.append(Mark(begin + best.start, begin + best.end, "answer", "right" if right else "wrong"))
        return Explanation(
            text="\n\n".join(example.contexts),
            marks=list(dict.fromkeys(marks)),
            gold=" | ".join(dict.fromkeys(answer.text for answer in example.answers or ())) or "(no answer)",
            predicted=prediction.text or "(no answer)",
            question=example.question,
        )
