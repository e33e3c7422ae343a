"""The windows, the model and the decoding of classification, with a tiny encoder of random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tiny_models import SIZES, randomise, tiny_tokenizer
from transformers import BertForSequenceClassification

from spanbert.batching import collate
from spanbert.encoder import SpanBertConfig
from spanbert.errors import ConfigurationError, InputError
from spanbert.task import Scored, Window
from spanbert.task_model import TaskModel
from spanbert.tasks.classification.config import Settings
from spanbert.tasks.classification.examples import Answer, ClassificationExample
from spanbert.tasks.classification.features import LEFT_OUT
from spanbert.tasks.classification.task import Classification
from spanbert.tokenization import PieceTokenizer

SHORT = "the capital of France is Paris"
LONG = "a patient with stenosis needs a stent . " * 9
WAYS = ("mean", "max", "attention")
ANSWERS: dict[str, list[Answer]] = {
    "single-label": ["好", "bad", "bad", "好"],
    "multi-label": [("好", "x"), (), ("bad",), ("bad", "x")],
    "regression": [1.0, 2.5, 4.0, -3.0],
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PieceTokenizer:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def examples(kind: str) -> list[ClassificationExample]:
    texts = [SHORT, LONG, "patient", "Paris , " * 30]
    return [
        ClassificationExample(id=str(number), text=text, label=label)
        for number, (text, label) in enumerate(zip(texts, ANSWERS[kind], strict=True))
    ]


def learned(kind: str = "single-label", **options: Any) -> Classification:
    settings = Settings(**{"max_length": 16, "stride": 4, "kind": kind, **options})
    return Classification(settings).learn(examples(kind))


def new_model(task: Classification) -> TaskModel:
    config = SpanBertConfig(**SIZES, **task.model_fields(), spanbert={"settings": asdict(task.settings)})
    model = task.model_class()(config)
    randomise(model)
    return model.eval()


@torch.no_grad()
def scores(model: TaskModel, units: Sequence[Sequence[Window]]) -> np.ndarray[Any, Any]:
    batch = collate(units)
    return model.score(model.reduce(model.encode(batch), batch), batch)["labels"].numpy()


def units_of(task: Classification, tokenizer: PieceTokenizer, *, training: bool = False) -> list[list[Window]]:
    return [task.features(one, tokenizer, training=training) for one in examples(task.settings.kind)]


def scored(task: Classification, model: TaskModel, tokenizer: PieceTokenizer) -> list[Scored[ClassificationExample]]:
    units = units_of(task, tokenizer)
    rows = scores(model, units)
    return [
        Scored(one, unit, [{"labels": rows[n : n + 1]}, *[{"labels": rows[:0]}] * (len(unit) - 1)])
        for n, (one, unit) in enumerate(zip(examples(task.settings.kind), units, strict=True))
    ]


# Windows


def test_short_texts_and_pairs_look_as_in_bert(tokenizer: PieceTokenizer) -> None:
    task = learned()
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    text, pair = tokenizer.encode("the capital").ids.tolist(), tokenizer.encode("Paris").ids.tolist()
    [window] = task.features(ClassificationExample(id="1", text="the capital"), tokenizer, training=False)
    assert window.pieces.tolist() == [cls, *text, sep]
    assert window.segments is not None
    assert not window.segments.any()
    example = ClassificationExample(id="1", text="the capital", pair="Paris")
    [window] = task.features(example, tokenizer, training=False)
    assert window.pieces.tolist() == [cls, *text, sep, *pair, sep]
    assert window.segments is not None
    assert window.segments.tolist() == [0] * (len(text) + 2) + [1] * (len(pair) + 1)


def test_a_text_without_a_piece_is_an_empty_window(tokenizer: PieceTokenizer) -> None:
    [window] = learned().features(ClassificationExample(id="1", text="\u200b"), tokenizer, training=False)
    assert window.pieces.tolist() == [tokenizer.cls_id, tokenizer.sep_id]


@given(first=st.integers(1, 60), second=st.integers(1, 60), max_length=st.integers(7, 30), stride=st.integers(0, 4))
@hypothesis_settings(max_examples=100, deadline=None)
def test_windows_of_a_pair_fit_and_cover_both_texts(
    tokenizer: PieceTokenizer, first: int, second: int, max_length: int, stride: int
) -> None:
    task = Classification(Settings(max_length=max_length, stride=stride, kind="single-label"))
    example = ClassificationExample(id="1", text="the " * first, pair="Paris " * second)
    windows = task.features(example, tokenizer, training=False)
    room = max_length - 3
    seen = [0, 0]
    for window in windows:
        assert len(window.pieces) <= max_length
        assert window.segments is not None
        pieces = [int((window.pieces == tokenizer.id(word)).sum()) for word in ("the", "Paris")]
        assert len(window.pieces) == sum(pieces) + 3
        assert int(window.segments.sum()) == pieces[1] + 1
        if min(first, second) <= room // 2:
            shorter = int(np.argmin([first, second]))
            assert pieces[shorter] == min(first, second)
        seen = [have + more for have, more in zip(seen, pieces, strict=True)]
    assert seen[0] >= first
    assert seen[1] >= second
    assert (len(windows) == 1) == (first + second <= room)


def test_training_takes_some_windows_evenly_and_counts_the_rest(tokenizer: PieceTokenizer) -> None:
    task = learned(training_windows=3)
    every = units_of(task, tokenizer)
    some = units_of(task, tokenizer, training=True)
    assert [len(unit) for unit in every] == [1, 7, 1, 6]
    assert [len(unit) for unit in some] == [1, 3, 1, 3]
    assert [window.pieces.tolist() for window in some[1]] == [every[1][n].pieces.tolist() for n in (0, 3, 6)]
    batch = collate(some)
    assert batch.counts["label"] == 4
    assert batch.counts[LEFT_OUT] == 4 + 3
    assert batch.values["label"].tolist() == [1, 0, 0, 1]
    assert not collate(every).values


def test_what_cannot_be_learned_is_an_error(tokenizer: PieceTokenizer) -> None:
    task = learned()
    with pytest.raises(InputError, match=r"'neutral' is unknown: .* 'bad', '好'"):
        task.features(ClassificationExample(id="7", text="x", label="neutral"), tokenizer, training=True)
    with pytest.raises(InputError, match="0 labels"):
        task.features(ClassificationExample(id="7", text="x"), tokenizer, training=True)
    with pytest.raises(InputError, match="no number"):
        learned("regression").features(ClassificationExample(id="7", text="x"), tokenizer, training=True)
    with pytest.raises(ConfigurationError, match="--max-length"):
        learned(max_length=6).features(ClassificationExample(id="7", text=LONG), tokenizer, training=False)


# Model


def test_short_texts_have_the_scores_of_transformers(tokenizer: PieceTokenizer, tmp_path: Path) -> None:
    for kind in ("single-label", "multi-label", "regression"):
        task = learned(kind)
        model = new_model(task)
        model.save_pretrained(tmp_path / kind)
        theirs = BertForSequenceClassification.from_pretrained(tmp_path / kind).eval()
        for example in (examples(kind)[0], replace(examples(kind)[2], pair="a stent .")):
            [window] = task.features(example, tokenizer, training=False)
            ids, segments = torch.from_numpy(window.pieces)[None].long(), torch.from_numpy(window.segments)[None]
            with torch.no_grad():
                expected = theirs(input_ids=ids, token_type_ids=segments).logits.numpy()
            np.testing.assert_allclose(scores(model, [[window]]), expected, rtol=0, atol=1e-5)
        if kind != "regression":
            assert theirs.config.id2label == dict(enumerate(task.settings.labels))
        assert theirs.config.problem_type == kind.replace("-", "_").replace("label", "label_classification")


@pytest.mark.parametrize("way", WAYS)
def test_the_windows_of_a_long_text_are_pooled(way: str, tokenizer: PieceTokenizer) -> None:
    task = learned(windows=way)
    model = new_model(task)
    assert ("window_attention.weight" in model.state_dict()) == (way == "attention")
    unit = units_of(task, tokenizer)[1]
    together = scores(model, units_of(task, tokenizer))
    with torch.no_grad():
        states = []
        for window in unit:
            batch = collate([[window]])
            states.append(model.reduce(model.encode(batch), batch))
        pooled = torch.cat(states)  # [number of windows, D]
        if way == "mean":
            vector = pooled.mean(0)
        elif way == "max":
            vector = pooled.amax(0)
        else:
            shares = torch.softmax(pooled @ model.state_dict()["window_attention.weight"][0], 0)
            vector = shares @ pooled
        expected = torch.nn.functional.linear(
            vector, model.state_dict()["classifier.weight"], model.state_dict()["classifier.bias"]
        )
    np.testing.assert_allclose(together[1], expected.numpy(), rtol=0, atol=1e-5)
    alone = np.concatenate([scores(model, [unit]) for unit in units_of(task, tokenizer)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "way"), [*((kind, "mean") for kind in ANSWERS), ("single-label", "max"), ("single-label", "attention")]
)
def test_the_loss_falls_and_the_answers_are_found(kind: str, way: str, tokenizer: PieceTokenizer) -> None:
    task = learned(kind, windows=way, class_weights="none" if kind == "regression" else "balanced")
    torch.manual_seed(0)
    config = SpanBertConfig(**SIZES, **task.model_fields(), spanbert={"settings": asdict(task.settings)})
    model = task.model_class()(config).eval()  # no dropout
    batch = collate(units_of(task, tokenizer, training=True))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(100 if kind == "multi-label" else 50):
            loss = model(batch).losses["label"]
            optimizer.zero_grad()
            loss.backward()
            assert all(parameter.grad is not None for parameter in model.parameters())
            optimizer.step()
    finally:
        torch.use_deterministic_algorithms(deterministic)
    assert float(loss.detach()) < 0.2
    results = scored(task, model, tokenizer)
    task = task.calibrate(results)
    predicted = [task.decode(one) for one in results]
    assert all(Classification.prediction(one.to_json()) == one for one in predicted)
    figures = task.compare(examples(kind), predicted, task.settings).figures()
    assert figures[task.main_metric] > (0.98 if kind == "regression" else 99)
    for one, example in zip(predicted, examples(kind), strict=True):
        if kind == "regression":
            assert one.label == pytest.approx(example.label, abs=0.8)
            assert not one.probabilities
        else:
            ranked = [probability for _, probability in one.probabilities]
            assert ranked == sorted(ranked, reverse=True)
            assert {label for label, _ in one.probabilities} == set(task.settings.labels)


def test_balanced_weights_are_those_of_torch_up_to_a_factor(tokenizer: PieceTokenizer) -> None:
    some = [ClassificationExample(id=str(n), text=SHORT, label="ab"[n % 4 == 0]) for n in range(8)]
    task = Classification(Settings(class_weights="balanced")).learn(some)
    weights = task.settings.label_weights
    assert weights == pytest.approx((8 / (2 * 6), 8 / (2 * 2)))
    model = new_model(task)
    batch = collate([task.features(one, tokenizer, training=True) for one in some])
    with torch.no_grad():
        ours = model(batch).losses["label"] / batch.counts["label"]
        logits = model.score(model.reduce(model.encode(batch), batch), batch)["labels"]
        theirs = torch.nn.functional.cross_entropy(logits, batch.values["label"], weight=torch.tensor(weights))
    torch.testing.assert_close(ours, theirs)  # over all examples the weights sum to their number


def test_balanced_weights_with_several_labels_are_those_of_presence() -> None:
    task = learned("multi-label", class_weights="balanced")
    assert task.settings.labels == ("bad", "x", "好")
    assert task.settings.label_weights == (1.0, 1.0, 3.0)


def test_a_model_has_the_pooler_and_says_which_class_opens_it() -> None:
    model = new_model(learned())
    assert model.bert.pooler is not None
    assert model.transformers_class == "BertForSequenceClassification"
