"""The heads: learning, decoding, calibration, long texts, and the same logits as transformers' class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_entities import HEADS, learned, predict, sample_examples, tiny_model, tiny_tokenizer

from spanbert.batching import collate
from spanbert.errors import InputError
from spanbert.predicting import Predictor
from spanbert.spans import LabelledSpan, find_overlaps
from spanbert.task import Scored
from spanbert.task_model import TaskModel
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.decode import decode_entities, fit_thresholds, temperature_of
from spanbert.tasks.ner.examples import EntityExample
from spanbert.tasks.ner.features import UnitPlace
from spanbert.tasks.ner.task import NamedEntityRecognition
from spanbert.tokenization import PieceTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PieceTokenizer:
    return tiny_tokenizer()


def train(task: NamedEntityRecognition, model: TaskModel, tokenizer: PieceTokenizer, examples: Any, steps: int) -> None:
    batch = collate([[window] for one in examples for window in task.features(one, tokenizer, training=True)])
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(steps):
        output = model(batch)
        [(name, loss)] = output.losses.items()
        optimizer.zero_grad()
        (loss / batch.counts[name]).backward()
        optimizer.step()


NESTED = [
    EntityExample("1", "the bank of the town is old", (LabelledSpan(0, 20, "ORG"), LabelledSpan(16, 20, "LOC"))),
    EntityExample("2", "the town is old", (LabelledSpan(4, 8, "LOC"),)),
    EntityExample("3", "old is the bank of the town", (LabelledSpan(7, 27, "ORG"), LabelledSpan(23, 27, "LOC"))),
]
FLAT = [
    EntityExample("1", "the bank of the town is old", (LabelledSpan(4, 8, "ORG"), LabelledSpan(16, 20, "LOC"))),
    EntityExample("2", "the town is old", (LabelledSpan(4, 8, "LOC"),)),
    EntityExample("3", "old is the town of the bank", (LabelledSpan(11, 15, "LOC"), LabelledSpan(23, 27, "ORG"))),
]


def test_spans_differ_from_the_first_step_on(tokenizer: PieceTokenizer) -> None:
    # With all scores the same, the span head needed hundreds of steps before it found an entity.
    task = learned(NESTED, head="span")
    model = tiny_model(task, tokenizer, small=True)
    batch = collate([task.features(NESTED[0], tokenizer, training=True)])
    scores = model.score(model.encode(batch), batch)["spans"]
    assert scores.mean().item() == pytest.approx(-4, abs=1)
    assert scores.std().item() > 0.2


@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns_its_entities(tokenizer: PieceTokenizer, head: str) -> None:
    examples = NESTED if head == "span" else FLAT
    task = learned(examples, head=head)
    model = tiny_model(task, tokenizer, small=True)
    train(task, model, tokenizer, examples, 60)
    task = task.calibrate(list(Predictor(model, task, tokenizer, device="cpu", precision="fp32").score(examples)))
    predicted = predict(task, model, tokenizer, examples)
    assert task.compare(examples, predicted, task.settings).figures()["f1"] == 100
    for example, prediction in zip(examples, predicted, strict=True):
        for entity in prediction.entities:
            assert entity.text == example.text[entity.start : entity.end]
            assert entity.probability is not None
            assert 0.3 < entity.probability <= 1
        assert list(prediction.entities) == sorted(prediction.entities, key=lambda one: (one.start, -one.end))
        explanation = task.explain(example, prediction)
        assert {mark.kind for mark in explanation.marks} == {"right"}


@pytest.mark.parametrize("head", HEADS)
def test_texts_of_nothing_and_odd_texts_have_predictions(tokenizer: PieceTokenizer, head: str) -> None:
    task = learned(sample_examples(), head=head)
    model = tiny_model(task, tokenizer)
    texts = ["", " ", "\u200b", "a", "e\u0301👩‍👩‍👧 \x00x", "的", *(one.text for one in sample_examples(3, "zh"))]
    examples = [EntityExample(str(number), text) for number, text in enumerate(texts)]
    for example, prediction in zip(examples, predict(task, model, tokenizer, examples), strict=True):
        assert example.text.strip() not in ("", "\u200b") or not prediction.entities
        assert prediction.id == example.id
        for entity in prediction.entities:
            assert entity.text == example.text[entity.start : entity.end] != ""
    batch = collate([task.features(EntityExample("x", "", ()), tokenizer, training=True)] * 2)
    [loss] = model(batch).losses.values()
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("head", ["linear", "crf", "span"])
def test_windows_find_what_one_window_finds_where_context_does_not_matter(tokenizer: PieceTokenizer, head: str) -> None:
    words = " ".join(one.text for one in sample_examples(8))
    example = EntityExample("long", words, ())
    task = learned(sample_examples(), head=head, max_length=64, stride=40, max_entity_width=3)
    model = tiny_model(task, tokenizer, max_position_embeddings=1000)
    with torch.no_grad():  # states that depend on nothing but the piece
        model.bert.embeddings.position_embeddings.weight.zero_()
        for layer in model.bert.encoder.layer:
            layer.attention.output.dense.weight.zero_()
    whole_task = NamedEntityRecognition(EntitySettings(**{**vars(task.settings), "max_length": 1000}))
    [windowed] = predict(task, model, tokenizer, [example])
    [whole] = predict(whole_task, model, tokenizer, [example])
    assert len(whole.entities) > 20
    assert [entity.span for entity in windowed.entities] == [entity.span for entity in whole.entities]
    ours, theirs = ([entity.probability for entity in one.entities] for one in (windowed, whole))
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_linear_heads_have_the_logits_of_transformers(tokenizer: PieceTokenizer, tmp_path: Path) -> None:
    from transformers import BertForTokenClassification

    from spanbert.task_checkpoints import save_task_model

    examples = sample_examples(4)
    task = learned(examples)
    model = tiny_model(task, tokenizer)
    save_task_model(model, task, tokenizer, tmp_path / "model")
    theirs = BertForTokenClassification.from_pretrained(tmp_path / "model").eval()
    assert theirs.config.id2label[1] == task.settings.tags[1]
    for scored in Predictor(model, task, tokenizer, device="cpu", precision="fp32").score(examples):
        for window, scores in zip(scored.windows, scored.scores, strict=True):
            with torch.no_grad():
                logits = theirs(input_ids=torch.from_numpy(window.pieces)[None].long()).logits[0]
            expected = logits[torch.from_numpy(window.positions["words"])].numpy()
            np.testing.assert_allclose(scores["tags"], expected, atol=1e-5)


def span_scores(example: EntityExample, rows: list[tuple[int, int]], logits: Any) -> Scored[EntityExample]:
    """The scores of one window whose units are single characters."""
    from spanbert.task import Window

    units = np.array([(place, place + 1) for place in range(len(example.text))])
    place = UnitPlace(units, np.array(rows))
    return Scored(example, [Window(np.zeros(2, np.int64), place=place)], [{"spans": np.array(logits, np.float32)}])


def test_spans_may_overlap_unless_flat_and_need_their_labels_threshold() -> None:
    scored = span_scores(
        EntityExample("x", "abcd"), [(0, 2), (1, 3), (2, 4), (0, 4)], [[2, -3], [3, 1], [1, -9], [-1, 0.5]]
    )

    def spans(**settings: Any) -> list[tuple[int, int, str]]:
        decoded = decode_entities(scored, EntitySettings(head="span", labels=("A", "B"), **settings))
        return [tuple(entity.span) for entity in decoded.entities]

    assert spans() == [(0, 4, "B"), (0, 2, "A"), (1, 3, "A"), (1, 3, "B"), (2, 4, "A")]
    assert spans(flat=True) == [(1, 3, "A")]
    assert spans(thresholds={"A": 0.9, "B": 0.04}) == [(0, 4, "B"), (0, 2, "B"), (1, 3, "A"), (1, 3, "B")]


def test_thresholds_are_where_f1_is_highest() -> None:
    gold = EntityExample("x", "abcd", (LabelledSpan(0, 1, "A"), LabelledSpan(1, 2, "A"), LabelledSpan(2, 3, "A")))
    settings = EntitySettings(head="span", labels=("A", "B"))
    scored = span_scores(gold, [(0, 1), (1, 2), (2, 3), (3, 4)], [[3, 1], [-1, 1], [-3, 1], [-2, 1]])
    thresholds = fit_thresholds([scored], settings)
    assert thresholds.keys() == {"A"}  # nothing is known of B
    assert 0.0 < thresholds["A"] < 1 / (1 + np.exp(3))  # three right of four are better than two of two
    scored = span_scores(gold, [(0, 1), (1, 2), (3, 4), (0, 4)], [[3, 1], [-1, 1], [-2, 1], [-3, 1]])
    assert 1 / (1 + np.exp(2)) < fit_thresholds([scored], settings)["A"] < 1 / (1 + np.exp(1))


def test_the_temperature_makes_probabilities_fit() -> None:
    settings = EntitySettings(head="span", labels=("A",))
    rows = [(place, place + 1) for place in range(40)]
    right = tuple(LabelledSpan(place, place + 1, "A") for place in range(30))
    scored = span_scores(EntityExample("x", "a" * 40, right), rows, [[6.0]] * 40)  # 0.998, of which 3 in 4 are right
    temperature = temperature_of([scored], settings)
    decoded = decode_entities(scored, EntitySettings(head="span", labels=("A",), temperature=temperature))
    assert decoded.entities[0].probability == pytest.approx(0.75, abs=0.05)
    few = span_scores(EntityExample("x", "a" * 5, right[:3]), rows[:5], [[6.0]] * 5)
    assert 1 < temperature_of([few], settings) < temperature  # little is known, so it stays nearer to 1


def test_what_is_learned_from_examples() -> None:
    assert learned(FLAT, head="span").settings.flat is True
    assert learned(NESTED, head="span").settings.flat is False
    assert learned(NESTED, head="span", flat=True).settings.flat is True
    task = learned(NESTED)
    assert task.settings.labels == ("LOC", "ORG")
    assert task.settings.tags == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
    assert task.stratum(NESTED[0]) == "LOC ORG"
    with pytest.raises(InputError, match="no entity"):
        learned([EntityExample("x", "a", ())])


def test_balanced_weights_make_all_kinds_of_words_and_entities_weigh_the_same(tokenizer: PieceTokenizer) -> None:
    linear = learned(FLAT, class_weights="balanced")
    num_words = {"O": 5 + 3 + 5, "LOC": 3, "ORG": 2}
    expected = [18 / (3 * number) for number in num_words.values()]
    assert linear.settings.label_weights == pytest.approx(expected)
    span = learned(FLAT, head="span", class_weights="balanced")
    assert span.settings.label_weights == pytest.approx([5 / (2 * 3), 5 / (2 * 2)])
    assert learned(FLAT).settings.label_weights == ()
    for task, name in ((linear, "tags"), (span, "spans")):
        model = tiny_model(task, tokenizer)
        batch = collate([task.features(example, tokenizer, training=True) for example in FLAT])
        with torch.no_grad():
            logits, targets = model.score(model.encode(batch), batch)[name], batch.values["targets"]
            loss = model(batch).losses[name]
        if name == "tags":
            weights = torch.tensor([expected[(tag + 1) // 2] for tag in targets.tolist()])
            each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        else:
            weights = torch.where(targets > 0, torch.tensor(task.settings.label_weights), 1.0)
            each = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        torch.testing.assert_close(loss, (each * weights).sum())


def test_a_crf_never_predicts_an_inside_tag_after_another(tokenizer: PieceTokenizer) -> None:
    examples = sample_examples(6)
    task = learned(examples, head="crf")
    model = tiny_model(task, tokenizer)
    for prediction in predict(task, model, tokenizer, examples):
        assert not find_overlaps([(entity.start, entity.end) for entity in prediction.entities])
    scored = next(Predictor(model, task, tokenizer, device="cpu", precision="fp32").score(examples))
    table = scored.scores[0]["transitions"][0]
    assert (table[:-1, 2::2] < -1000).sum() == (table.shape[1] // 2) * (table.shape[0] - 1 - 2)


def test_golden_examples_are_of_both_languages() -> None:
    golden = NamedEntityRecognition.golden_examples()
    assert len(golden) == 4
    for example in golden:
        assert len({entity.label for entity in example.entities or ()}) >= 3
    assert golden[0].text.isascii() or golden[0].text[0].isascii()
    assert not golden[-1].text.isascii()
