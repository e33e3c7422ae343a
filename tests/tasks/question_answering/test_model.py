"""The model, and the task from a file to answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import PIECES, SIZES, assert_close, randomise, save_bert, tiny_bert, tiny_tokenizer
from transformers import AutoModelForQuestionAnswering, BertForQuestionAnswering

from spanbert.batching import collate
from spanbert.encoder import SpanBertConfig
from spanbert.errors import InputError
from spanbert.predicting import Predictor
from spanbert.sample_corpus import sample_documents
from spanbert.task_checkpoints import load_task_model, new_task_model, save_task_model
from spanbert.tasks.question_answering.config import QuestionAnsweringSettings
from spanbert.tasks.question_answering.examples import (
    Answer,
    PredictedAnswer,
    QuestionExample,
    QuestionPrediction,
)
from spanbert.tasks.question_answering.head import SpanBertForQuestionAnswering
from spanbert.tasks.question_answering.task import QuestionAnswering
from spanbert.tokenization import PieceTokenizer

CONTEXT = "the capital of France is Paris and a patient with stenosis needs stent ."


def model() -> SpanBertForQuestionAnswering:
    made = SpanBertForQuestionAnswering(SpanBertConfig(**SIZES))
    randomise(made)
    return made.eval()


def tiny_task(**options: int) -> QuestionAnswering:
    return QuestionAnswering(QuestionAnsweringSettings(**{"max_length": 16, "stride": 4, **options}))


def examples() -> list[QuestionExample]:
    answer = Answer(text="Paris", start=25, end=30)
    return [
        QuestionExample(id="a", question="capital of France", contexts=(CONTEXT,), answers=(answer,)),
        QuestionExample(id="b", question="the patient", contexts=("Paris",), answers=()),
        QuestionExample(id="c", question="stent", contexts=(CONTEXT, "stenosis"), answers=None),
    ]


@torch.no_grad()
def test_scores_and_loss_are_those_of_transformers(tmp_path: Path) -> None:
    ours = model()
    theirs = BertForQuestionAnswering(SpanBertConfig(**SIZES)).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    tokenizer = tiny_tokenizer(tmp_path)
    windows = [window for one in examples() for window in tiny_task().features(one, tokenizer, training=True)]
    batch = collate([[window] for window in windows])
    known = [window for window in windows if window.positions["answer"][0, 0] >= 0]
    assert len(known) < len(windows)
    output = ours(batch)
    scores = ours.score(ours.encode(batch), batch)
    summed = 0.0
    for window, start in zip(windows, batch.layout.starts.tolist(), strict=True):
        assert window.segments is not None
        [[first, last]] = window.positions["answer"].tolist()
        expected = theirs(
            input_ids=torch.from_numpy(window.pieces[None].astype(np.int64)),
            token_type_ids=torch.from_numpy(window.segments[None].astype(np.int64)),
            start_positions=torch.tensor([max(first, 0)]),
            end_positions=torch.tensor([max(last, 0)]),
        )
        stop = start + len(window.pieces)
        assert_close(scores["start"][start:stop], expected.start_logits[0])
        assert_close(scores["end"][start:stop], expected.end_logits[0])
        summed += float(expected.loss) if first >= 0 else 0.0
    assert float(output.losses["span"]) == pytest.approx(summed, abs=1e-4)
    assert batch.counts["span"] == len(known)


@torch.no_grad()
def test_the_figure_counts_windows_with_the_right_span(tmp_path: Path) -> None:
    windows = tiny_task().features(examples()[0], tiny_tokenizer(tmp_path), training=True)
    batch = collate([[window] for window in windows])
    target = batch.positions["answer"]
    start, end = torch.zeros(2, batch.layout.num_pieces)
    start[target[:, 0]], end[target[:, 1]] = 1.0, 1.0
    ours = model()
    assert int(ours.loss({"start": start, "end": end}, batch).figures["span_correct"]) == len(windows)
    end[target[0, 1]] = -1.0
    assert int(ours.loss({"start": start, "end": end}, batch).figures["span_correct"]) == len(windows) - 1


def test_a_saved_model_opens_in_transformers_and_here(tmp_path: Path) -> None:
    encoder = save_bert(tiny_bert(), tmp_path / "encoder")
    tokenizer = PieceTokenizer.load(encoder)
    task = tiny_task().learn(examples())
    made, _, _ = new_task_model(task, encoder)
    randomise(made)
    save_task_model(made, task, tokenizer, tmp_path / "model")
    theirs = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model")
    assert isinstance(theirs, BertForQuestionAnswering)
    assert_close(theirs.qa_outputs.weight, made.qa_outputs.weight)
    loaded, its_task, _ = load_task_model(tmp_path / "model")
    before = list(Predictor(made, task, tokenizer, device="cpu", precision="fp32").predict(examples()))
    after = list(Predictor(loaded, its_task, tokenizer, device="cpu", precision="fp32").predict(examples()))
    assert before == after
    assert its_task.settings == task.settings
    assert task.settings.abstains


def test_what_can_be_learned_from() -> None:
    lost = QuestionExample(id="a", question="?", contexts=("x",), answers=(Answer(text="y"),))
    unknown = QuestionExample(id="b", question="?", contexts=("x",))
    with pytest.raises(InputError, match="nothing can be learned"):
        tiny_task().learn([lost, unknown])
    assert tiny_task().learn([lost, *examples()]).settings.abstains
    assert not tiny_task().learn(examples()[:1]).settings.abstains


def test_questions_of_an_article_stay_together_and_kinds_in_proportion() -> None:
    task, (a, b, c) = tiny_task(), examples()
    assert task.group(a) == task.group(c) == CONTEXT
    assert task.group(QuestionExample(id="d", question="?", contexts=("x",), title="T")) == "T"
    assert [task.stratum(one) for one in (a, b, c)] == ["answerable", "unanswerable", None]


def test_golden_examples_come_from_the_sample_corpus() -> None:
    golden = QuestionAnswering.golden_examples()
    texts = {document.text.partition("\n")[0]: document.language for document in sample_documents()}
    assert [texts[one.contexts[0]] for one in golden] == ["en", "en", "zh", "zh"]
    assert golden[0].answers
    assert golden[2].answers
    assert not all(one.answers for one in golden)
    for one in golden:
        for answer in one.answers or ():
            assert one.contexts[0][answer.start : answer.end] == answer.text


def test_an_explanation_marks_right_and_predicted_answers_in_all_documents() -> None:
    made = QuestionExample(
        id="a",
        question="where?",
        contexts=("in Rome", "in Paris"),
        answers=(Answer(text="Paris", start=3, end=8, document=1),),
    )

    def explained(text: str, start: int, document: int) -> tuple[list[tuple[str, str]], str]:
        answer = PredictedAnswer(
            text=text, start=start, end=start + len(text), document=document, score=0.0, probability=0.5
        )
        prediction = QuestionPrediction(id="a", text=text, answers=(answer,))
        explanation = tiny_task().explain(made, prediction)
        marks = [(explanation.text[mark.start : mark.end], mark.kind) for mark in explanation.marks]
        assert (explanation.question, explanation.gold) == ("where?", "Paris")
        return marks, explanation.predicted

    assert explained("Rome", 3, 0) == ([("Paris", "missed"), ("Rome", "wrong")], "Rome")
    assert explained("Paris", 3, 1) == ([("Paris", "right")], "Paris")
    nothing = tiny_task().explain(examples()[1], QuestionPrediction(id="b", text=""))
    assert (nothing.gold, nothing.predicted, list(nothing.marks)) == ("(no answer)", "(no answer)", [])


def test_the_vocabulary_knows_the_words_of_these_tests() -> None:
    assert set(CONTEXT.split()) <= set(PIECES)
