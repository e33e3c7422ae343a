"""The models of relations, from examples to predictions, for every way of showing spans and scoring them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_relations import WAYS, documents, make_model, save_encoder, sentences
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from spanbert.batching import collate
from spanbert.predicting import Predictor
from spanbert.task import Window
from spanbert.task_checkpoints import load_task_model, save_task_model
from spanbert.tasks.relations.task import RelationExtraction


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.mark.parametrize(("entities", "vector"), WAYS)
def test_model_learns_a_handful_saves_and_predicts(entities: str, vector: str, encoder: Path, tmp_path: Path) -> None:
    examples = sentences(8)
    model, task, tokenizer = make_model(encoder, examples, entities=entities, vector=vector)
    units: list[list[Window]] = [
        [window] for one in examples for window in task.features(one, tokenizer, training=True)
    ]
    batch = collate(units)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    model.train(False)  # without dropout, so that the loss must fall
    for _ in range(150):
        loss = model(batch).losses["relations"] / batch.counts["relations"]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
    assert losses[-1] < 0.3 < losses[0]
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32")
    predictions = list(predictor.predict(examples))
    assert [one.relations[0].label for one in predictions] == [one.relations[0].label for one in examples]  # type: ignore[index]
    figures = task.compare(examples, predictions, task.settings).figures()
    assert figures[task.main_metric] == 100.0
    assert all(RelationExtraction.prediction(one.to_json()) == one for one in predictions)
    save_task_model(model, task, tokenizer, tmp_path / "model")
    loaded = Predictor(*load_task_model(tmp_path / "model"), device="cpu", precision="fp32")
    assert loaded.task.settings == task.settings
    assert list(loaded.predict(examples)) == predictions


@pytest.mark.parametrize(("entities", "vector"), WAYS)
def test_predictions_do_not_depend_on_order_or_batches(entities: str, vector: str, encoder: Path) -> None:
    examples = [*documents(3, "zh"), *sentences(6)]
    model, task, tokenizer = make_model(encoder, examples, entities=entities, vector=vector, max_pair_distance=30)
    one_by_one = Predictor(model, task, tokenizer, device="cpu", precision="fp32", batch_pieces=1)
    together = Predictor(model, task, tokenizer, device="cpu", precision="fp32", batch_pieces=4096)
    first = list(one_by_one.score(examples))
    second = list(together.score(examples[::-1]))[::-1]
    for one, other in zip(first, second, strict=True):
        rows, others = (np.concatenate([r["relations"] for r in scored.scores]) for scored in (one, other))
        np.testing.assert_allclose(rows, others, atol=1e-5)
        left, right = task.decode(one), task.decode(other)
        assert [replace(r, probability=0) for r in left.relations] == [
            replace(r, probability=0) for r in right.relations
        ]


def test_transformers_opens_a_model_of_cls_with_the_same_scores(encoder: Path, tmp_path: Path) -> None:
    examples = sentences(4)
    model, task, tokenizer = make_model(encoder, examples)
    save_task_model(model, task, tokenizer, tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.id2label == dict(enumerate(task.settings.labels))
    their_tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32")
    for scored in predictor.score(examples):
        (window,) = scored.windows
        logits = theirs(input_ids=torch.from_numpy(window.pieces)[None]).logits
        np.testing.assert_allclose(scored.scores[0]["relations"], logits.detach().numpy(), atol=1e-5)
    # A sentence with the markers written into it is what our window shows.
    text = "[SUBJ-PERSON] Nermin [/SUBJ-PERSON] knows [OBJ-PERSON] Sevgi [/OBJ-PERSON]"
    ids = their_tokenizer(text)["input_ids"]
    example = task.example(
        {
            "text": "Nermin knows Sevgi",
            "head": {"start": 0, "end": 6, "type": "PERSON"},
            "tail": {"start": 13, "end": 18, "type": "PERSON"},
        }
    )
    assert task.features(example, tokenizer, training=False)[0].pieces.tolist() == ids


def test_balanced_weights_have_mean_one_and_shape_the_loss(encoder: Path) -> None:
    examples = documents(6, "en")
    model, task, tokenizer = make_model(encoder, examples, class_weights="balanced", entities="plain", vector="spans")
    batch = collate([[one] for example in examples for one in task.features(example, tokenizer, training=True)])
    weights = torch.tensor(task.settings.label_weights)
    labels = batch.values["labels"]
    assert len(weights) == len(task.settings.labels)
    assert weights.argmin() == task.settings.labels.index("no_relation")
    assert weights[labels].mean().item() == pytest.approx(1.0)
    model.train(False)
    with torch.no_grad():
        logits = model.score(model.encode(batch), batch)["relations"]
        expected = (torch.nn.functional.cross_entropy(logits, labels, reduction="none") * weights[labels]).sum()
        assert model(batch).losses["relations"].item() == pytest.approx(expected.item(), rel=1e-5)
