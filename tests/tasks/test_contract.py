"""What every task has to fulfil (docs/design.md, "The contract of a task"), on the sample corpus and a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spanbert.batching import collate
from spanbert.finetuning.data import TrainingWindows
from spanbert.output_formats import open_writer
from spanbert.predicting import Predictor
from spanbert.prediction_stream import Answer
from spanbert.task import Scored, Task, examples_of
from spanbert.task_checkpoints import load_task_model, new_task_model, save_task_model
from spanbert.task_model import TaskModel
from spanbert.tasks import TASKS, find_task
from spanbert.tokenization import PieceTokenizer

AnyTask = Task[Any, Any]

SETTINGS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "question-answering": [{}],
    "ner": [{"head": "linear"}, {"head": "crf"}, {"head": "bilstm-crf"}, {"head": "span"}],
    "coreference": [{"hidden_size": 32}, {"hidden_size": 32, "singletons": False, "max_antecedent_distance": 40}],
    "relations": [
        {"entities": "type-tokens", "vector": "cls"},
        {"entities": "typed-markers", "vector": "spans"},
        {"entities": "plain", "vector": "spans"},
    ],
    "classification": [{"windows": "mean"}, {"windows": "max"}, {"windows": "attention"}],
}
"""The kinds of heads that each task has."""

CASES = [(name, settings) for name, kinds in SETTINGS.items() for settings in kinds]
BOUND_IN_BF16 = 0.1


@dataclass
class Made:
    """A task that has learned its labels, a model of random weights, and examples."""

    task: AnyTask
    model: TaskModel
    tokenizer: PieceTokenizer
    examples: list[Any]

    def predictor(self, **options: Any) -> Predictor[Any, Any]:
        return Predictor(self.model, self.task, self.tokenizer, **{"device": "cpu", "precision": "fp32", **options})


def test_every_task_of_ours_is_tested() -> None:
    assert SETTINGS.keys() == TASKS.keys()


@pytest.fixture(params=CASES, ids=lambda case: "-".join([case[0], *map(str, case[1].values())]))
def made(request: pytest.FixtureRequest, encoder_folder: Path, task_files: Callable[[str], Path]) -> Made:
    name, kind = request.param
    task_class = find_task(name)
    task = task_class(task_class.settings_class(**kind, max_length=64, stride=16))
    located, problems = examples_of(task.read(task_files(name) / "train.jsonl", task.settings))
    assert not problems
    examples = [one.example for one in located]
    task = task.learn(examples)
    model, tokenizer, _ = new_task_model(task, encoder_folder, dropout=0.0)
    torch.manual_seed(1)
    with torch.no_grad():  # random, not small: scores then differ
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return Made(task, model, tokenizer, examples[:12])


def test_the_loss_falls_and_every_parameter_gets_a_gradient(made: Made) -> None:
    windows = TrainingWindows.of(made.task, made.examples, made.tokenizer)
    batch = collate(windows.units)
    optimizer = torch.optim.Adam(made.model.parameters(), lr=3e-3)
    losses = []
    made.model.train(True)
    for _ in range(12):
        output = made.model(batch)
        assert output.losses.keys() <= batch.counts.keys() - {"pieces"}
        loss = torch.stack([value / max(batch.counts[name], 1) for name, value in output.losses.items()]).sum()
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            without = [n for n, p in made.model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            assert not without
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_examples_survive_json_and_prediction_has_no_targets(made: Made) -> None:
    for example in made.examples:
        for window in made.task.features(example, made.tokenizer, training=False):
            assert not window.counts
        assert made.task.example(json.loads(json.dumps(example.to_json()))) == example


def test_a_saved_model_predicts_the_same(made: Made, tmp_path: Path) -> None:
    before = list(made.predictor().score(made.examples))
    save_task_model(made.model, made.task, made.tokenizer, tmp_path / "model")
    model, task, tokenizer = load_task_model(tmp_path / "model")
    assert task.settings == made.task.settings
    after = list(Predictor(model, task, tokenizer, device="cpu", precision="fp32").score(made.examples))
    assert largest_difference(before, after) == 0
    assert decoded(made.task, before) == decoded(task, after)


def test_predictions_do_not_depend_on_batches_padding_or_order(made: Made) -> None:
    together = list(made.predictor().score(made.examples))
    one_by_one = list(made.predictor(batch_pieces=1).score(made.examples))
    reversed_order = list(made.predictor(batch_pieces=300).score(made.examples[::-1]))[::-1]
    assert largest_difference(together, one_by_one) < 1e-5
    assert largest_difference(together, reversed_order) < 1e-5
    assert without_scores(made.task, together) == without_scores(made.task, one_by_one)
    assert without_scores(made.task, together) == without_scores(made.task, reversed_order)


def test_scores_in_bf16_are_near(made: Made) -> None:
    if not any(value for name, value in torch.cpu.get_capabilities().items() if name.endswith("bf16")):
        pytest.skip("this processor has no bf16")
    in_fp32 = list(made.predictor().score(made.examples))
    in_bf16 = list(made.predictor(precision="bf16").score(made.examples))
    scale = max(
        float(np.abs(array).max(initial=0)) for one in in_fp32 for rows in one.scores for array in rows.values()
    )
    assert largest_difference(in_fp32, in_bf16) < BOUND_IN_BF16 * max(scale, 1)


def test_predictions_survive_json(made: Made) -> None:
    for prediction in made.predictor().predict(made.examples):
        assert made.task.prediction(json.loads(json.dumps(prediction.to_json()))) == prediction


def test_answers_are_lines_for_people(made: Made) -> None:
    examples = [*made.examples, *made.task.golden_examples()]
    writer = open_writer(made.task, "text", "records.jsonl")
    for line, (example, prediction) in enumerate(zip(examples, made.predictor().predict(examples), strict=True), 1):
        lines = str(writer.part(Answer(line, example, prediction)))
        assert lines.lstrip("\n").startswith(f"{example.id}: ")
        assert lines.endswith("\n")
        assert lines.replace("\n", "").isprintable()


def test_a_document_far_longer_than_a_window_is_read_whole(made: Made) -> None:
    long = lengthened(made.examples, 25)
    [scored] = made.predictor(batch_pieces=256).score([long])
    pieces = sum(len(window.pieces) for window in scored.windows)
    assert pieces > 20 * 64
    made.task.decode(scored)
    assert TrainingWindows.of(made.task, [long], made.tokenizer).num_long == 1


def test_no_prediction_at_all_can_be_compared(made: Made) -> None:
    nothing = made.task.compare(made.examples, [None] * len(made.examples), made.task.settings)
    predicted = list(made.predictor().predict(made.examples))
    something = made.task.compare(made.examples, predicted, made.task.settings)
    assert nothing.num_examples == something.num_examples == len(made.examples)
    assert not any(np.isnan(value) for value in nothing.figures().values())
    assert not np.isnan(something.figures()[made.task.main_metric])
    assert something.badness().shape == (len(made.examples),)
    chosen = np.zeros(5, np.int64)
    first = made.task.compare(made.examples[:1] * 5, predicted[:1] * 5, made.task.settings)
    assert something.figures(chosen)[made.task.main_metric] == pytest.approx(first.figures()[made.task.main_metric])


def test_calibration_keeps_what_the_model_says(made: Made) -> None:
    scored = list(made.predictor().score(made.examples))
    task = made.task.calibrate(scored)
    assert type(task) is type(made.task)
    for one in scored:
        task.decode(one)


def test_golden_examples_can_be_predicted(made: Made) -> None:
    golden = made.task.golden_examples()
    assert len({example.id for example in golden}) == len(golden) >= 4
    assert len(list(made.predictor().predict(golden))) == len(golden)


def lengthened(examples: Sequence[Any], times: int) -> Any:
    """An example whose text is very long, with its answers where they were."""
    by_length = sorted(examples, key=lambda example: len(json.dumps(example.to_json())))
    record = by_length[-1].to_json()
    key = "context" if "context" in record else "text"
    text = record[key]
    record[key] = text + f"\n{text}" * times
    if "relations" in record:  # a text is read where its entities are
        record["entities"] = [
            {**entity, "start": entity["start"] + shift, "end": entity["end"] + shift}
            for shift in range(0, len(record[key]), len(text) + 1)
            for entity in record["entities"]
        ]
    name = type(by_length[-1]).__module__.split(".")[2].replace("_", "-")
    return find_task(name).example(record)


def largest_difference(some: Sequence[Scored[Any]], others: Sequence[Scored[Any]]) -> float:
    largest = 0.0
    for one, other in zip(some, others, strict=True):
        for rows, other_rows in zip(one.scores, other.scores, strict=True):
            assert rows.keys() == other_rows.keys()
            if "antecedents" in rows:
                rows, other_rows = kept_by_both(rows, other_rows)
            for name, array in rows.items():
                assert array.shape == other_rows[name].shape
                if array.size:
                    finite = np.isfinite(array)
                    assert (finite == np.isfinite(other_rows[name])).all()
                    largest = max(largest, float(np.abs(array - other_rows[name])[finite].max(initial=0)))
    return largest


def kept_by_both(
    some: Mapping[str, np.ndarray[Any, Any]], others: Mapping[str, np.ndarray[Any, Any]]
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, np.ndarray[Any, Any]]]:
    """The scores of mentions and links that both have: rounding may turn the choice of what is kept, but of little."""
    tables = []
    for rows in (some, others):
        spans = list(map(tuple, rows["mentions"].astype(int).tolist()))
        table: dict[Any, float] = dict(zip(spans, rows["mention_scores"].tolist(), strict=True))
        for span, places, scores in zip(
            spans, rows["antecedents"].astype(int).tolist(), rows["antecedent_scores"].tolist(), strict=True
        ):
            links = zip(places, scores[1:], strict=True)
            table |= {(span, spans[place]): score for place, score in links if place >= 0}
        tables.append(table)
    common = tables[0].keys() & tables[1].keys()
    assert len(common) >= 0.8 * max(map(len, tables))
    first, second = ({"scores": np.array([table[key] for key in sorted(common, key=str)])} for table in tables)
    return first, second


def decoded(task: AnyTask, scored: Sequence[Scored[Any]]) -> list[Any]:
    return [task.decode(one).to_json() for one in scored]


def without_scores(task: AnyTask, scored: Sequence[Scored[Any]]) -> list[Any]:
    """The predictions with numbers rounded, since probabilities move by rounding."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 3)
        if isinstance(value, dict):
            return {key: rounded(inner) for key, inner in value.items() if key not in {"score", "probability"}}
        return [rounded(inner) for inner in value] if isinstance(value, list) else value

    return [rounded(value) for value in decoded(task, scored)]
