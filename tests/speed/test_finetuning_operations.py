"""What fine-tuning and prediction of every task compute, counted: nothing twice, and hardly any padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from counted_runs import BATCH_SIZE, EPOCHS, HEADS, LAYERS, STRIDE, TASKS, WIDE, Run, num_pieces
from operation_counter import OperationCounter, TokenizerCalls, padded_share

from spanbert.batching import collate
from spanbert.cli import main
from spanbert.predicting import Predictor
from spanbert.task import Window

Finetuned = Callable[[str], Run]

MOST_PADDING = {
    "question-answering": 0.10, "ner": 0.25, "relations": 0.15, "classification": 0.25, "coreference": 0.15,
}  # fmt: skip
"""Share of the positions attention sees. Windows are padded to a multiple of 32 pieces, which weighs most with short
texts: those of `ner` and `classification` have 70 pieces on average here."""

MOST_CALLS = {
    "question-answering": 450, "ner": 540, "relations": 540, "classification": 560, "coreference": 1400,
}  # fmt: skip
"""Kernels of an optimiser step, its share of validations and calibration counted."""


def kernels(run: Run, units: Sequence[Sequence[Window]]) -> tuple[int, int]:
    """Calls for making a batch of training, and for a forward and a backward pass."""
    with OperationCounter() as collating:
        batch = collate(units)
    model = run.predictor.model
    with OperationCounter() as computing:
        torch.stack(list(model(batch).losses.values())).sum().backward()
    model.zero_grad(set_to_none=True)
    return collating.num_calls, computing.num_calls


def with_filling(number: int, num_batches: int) -> int:
    """`number` rows in batches, each filled up to one of few sizes: at most an eighth more, or 16."""
    return number + number // 8 + 16 * num_batches


@pytest.mark.parametrize("task", TASKS)
def test_training_encodes_each_window_once_an_epoch(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    units = run.units()
    seen = sum(one.num_pieces for one in run.encoded(run.counter) if one.learning)
    an_epoch = sum(map(num_pieces, units))
    # The last step goes on into the next epoch.
    most_beyond = BATCH_SIZE[task] * max(map(num_pieces, units))
    assert EPOCHS * an_epoch <= seen < EPOCHS * an_epoch + most_beyond


@pytest.mark.parametrize("task", TASKS)
def test_dev_set_is_encoded_once_a_validation_and_once_for_calibration(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    dev = num_pieces(run.windows(run.examples(run.dev)))
    golden = num_pieces(run.windows(run.predictor.task.golden_examples()))
    seen = sum(one.num_pieces for one in run.encoded(run.counter) if not one.learning)
    assert run.num_validations == EPOCHS
    assert seen <= (run.num_validations + 1) * dev + golden
    assert seen >= run.num_validations * dev + golden


@pytest.mark.parametrize("task", TASKS)
def test_features_are_in_memory_once(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    held = sum(map(len, run.units())) + len(run.windows(run.examples(run.dev)))
    assert 0 < run.most_windows <= held


@pytest.mark.parametrize("task", TASKS)
def test_prediction_encodes_each_window_once_with_little_padding(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    examples = run.examples(run.dev) + run.examples(run.train)
    pieces = num_pieces(run.windows(examples))
    with OperationCounter() as counter:
        predictions = list(run.predictor.predict(examples))
    assert len(predictions) == len(examples)
    encoded = run.encoded(counter)
    assert sum(one.num_pieces for one in encoded) == pieces
    assert sum(one.num_rows for one in encoded) <= with_filling(pieces, len(encoded))
    wide = sum(one.rows for one in counter.products if one.columns == WIDE)
    assert pieces <= wide / LAYERS <= with_filling(pieces, len(encoded))
    share = padded_share(counter.attention, heads=HEADS, layers=LAYERS, num_pieces=pieces)
    assert 0 <= share <= MOST_PADDING[task], f"{share:.3f}"


@pytest.mark.parametrize("task", TASKS)
def test_training_batches_hold_little_padding(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    encoded = [one for one in run.encoded(run.counter) if one.learning]
    pieces = sum(one.num_pieces for one in encoded)
    assert sum(one.num_rows for one in encoded) <= with_filling(pieces, len(encoded))
    wide = sum(one.rows for one in run.counter.products if one.learning and one.columns == WIDE)
    assert pieces <= wide / LAYERS <= with_filling(pieces, len(encoded))
    attention = [one for one in run.counter.attention if one.learning]
    share = padded_share(attention, heads=HEADS, layers=LAYERS, num_pieces=pieces)
    assert 0 <= share <= MOST_PADDING[task], f"{share:.3f}"


@pytest.mark.parametrize("task", TASKS)
def test_a_step_is_few_kernels(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    calls = run.counter.num_calls / run.num_steps
    assert calls <= MOST_CALLS[task], f"{calls:.0f}: {run.counter.calls.most_common(8)}"


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_encodes_each_window_once(
    task: str, finetuned: Finetuned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finetuned(task)
    words = ["--output", str(tmp_path / "report.html"), "--predictions", str(tmp_path / "predictions.jsonl")]
    options = ["--device", "cpu", "--precision", "fp32", "--golden", "skip", "--samples", "20", "--quiet"]
    with OperationCounter() as counter:
        assert main(["evaluate", str(run.output), str(run.dev), *words, *options]) == 0
    assert sum(one.num_pieces for one in run.encoded(counter)) == num_pieces(run.windows(run.examples(run.dev)))


@pytest.mark.parametrize("task", [task for task in TASKS if task != "relations"])  # there, pairs are cut out
def test_windows_of_a_long_text_overlap_by_the_stride(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    settings = replace(run.predictor.task.settings, max_length=64, stride=STRIDE[task] // 4)
    long = type(run.predictor.task)(settings)
    text = "\n".join(long.text_of(one) for one in run.examples(run.train)[:40])
    question = "Who keeps the old bridge?"
    tokenizer = run.predictor.tokenizer
    record = {"id": "long", "question": question, "context": text}
    asks = task == "question-answering"
    example = long.example(record) if asks else long.example_from_text(text, "long")
    predictor = Predictor(run.predictor.model, long, tokenizer, device="cpu", precision="fp32", batch_pieces=512)
    with OperationCounter() as counter:
        (_,) = predictor.predict([example])
    seen = sum(one.num_pieces for one in run.encoded(counter))
    text_pieces = len(tokenizer.encode(text))
    assert text_pieces > 1000
    beside = 3 + len(tokenizer.encode(question)) if asks else 2  # question and special pieces of a window
    # Windows begin and end with words, those of coreference with sentences: they are a little shorter than they could.
    fill = 0.75 if task == "coreference" else 0.9
    most = 64 / (fill * (64 - beside - settings.stride))
    assert 1 < seen / text_pieces <= most, f"{seen / text_pieces:.2f} {most:.2f}"


@pytest.mark.parametrize("task", [task for task in TASKS if task != "coreference"])  # a batch is one document there
def test_more_windows_in_a_batch_take_no_more_kernels(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    unit = max(run.units(), key=num_pieces)
    (few, few_computed), (many, many_computed) = (kernels(run, [unit] * number) for number in (2, 32))
    assert 0 < many <= few + 4
    assert 0 < many_computed <= few_computed + 10


def test_more_windows_in_a_document_take_no_more_kernels(finetuned: Finetuned) -> None:
    run = finetuned("coreference")
    unit = max(run.units(), key=num_pieces)
    long = [replace(window) for _ in range(6) for window in unit]
    (few, few_computed), (many, many_computed) = kernels(run, [unit]), kernels(run, [long])
    assert 0 < many <= few + 10
    # Pairs of mentions are scored some at a time: six times the text takes more, but not six times as many.
    assert 0 < many_computed <= 3.2 * few_computed, f"{few_computed} {many_computed}"


@pytest.mark.parametrize("task", TASKS)
def test_the_tokenizer_gets_whole_texts(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    examples = run.examples(run.dev)
    words = sum(len(run.predictor.task.text_of(one).split()) for one in examples)
    with TokenizerCalls() as calls:
        run.windows(examples)
    assert 0 < calls.number <= 2 * len(examples), f"{calls.number} {len(examples)} {words}"


@pytest.mark.parametrize("task", TASKS)
def test_prediction_has_few_shapes(task: str, finetuned: Finetuned) -> None:
    run = finetuned(task)
    examples = run.examples(run.train) + run.examples(run.dev)
    predictor = run.with_batches_of(256)
    with OperationCounter() as counter:
        list(predictor.predict(examples))
    batches = len(run.encoded(counter))
    rows = {one.rows for one in counter.products if one.columns == WIDE}
    attention = {(one.rows, one.length) for one in counter.attention}
    assert batches >= 18
    assert len(rows) <= 9
    assert len(attention) <= 16
