"""The prediction loop: order, memory, passes of the encoder, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_classifier import tiny_classifier

from spanbert.errors import ConfigurationError
from spanbert.packed_encoder import can_pack
from spanbert.predicting import Predictor
from spanbert.task_checkpoints import load_task_model
from spanbert.tasks.classification.examples import ClassificationExample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def make(folder: Path) -> Any:
    """A function that gives a predictor; windows of 16 pieces."""

    def make_(**options: Any) -> Predictor[Any, Any]:
        return Predictor(*load_task_model(folder), **{"device": "cpu", "precision": "fp32", **options})

    return make_


def example(number: int, words: int) -> ClassificationExample:
    text = " ".join(["Paris", "is", "the", "capital", "of", "France"][(number + n) % 6] for n in range(words))
    return ClassificationExample(id=str(number), text=text)


EXAMPLES = [example(number, 1 + 7 * number % 41) for number in range(60)]


def counted_passes(predictor: Predictor[Any, Any], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pieces of each pass of the encoder, padding counted, as they come."""
    passes: list[int] = []
    encode = predictor.model.encode

    def counting(batch: Any) -> torch.Tensor:
        passes.append(batch.layout.num_padded)
        return encode(batch)

    monkeypatch.setattr(predictor.model, "encode", counting)
    return passes


def test_answers_come_in_order_whatever_the_batches(make: Any) -> None:
    expected = list(make().predict(EXAMPLES))
    assert [one.id for one in expected] == [one.id for one in EXAMPLES]
    for budget in (1, 50, 500):
        found = list(make(batch_pieces=budget).predict(EXAMPLES))
        assert [one.id for one in found] == [one.id for one in EXAMPLES]
        for one, other in zip(found, expected, strict=True):
            assert dict(one.probabilities) == pytest.approx(dict(other.probabilities), abs=1e-5)


def test_nothing_is_answered_with_nothing(make: Any) -> None:
    assert list(make().predict([])) == []


def test_windows_that_are_made_already_give_the_same_scores(make: Any) -> None:
    predictor = make(batch_pieces=100)
    made = [(one, predictor.task.features(one, predictor.tokenizer, training=False)) for one in EXAMPLES]
    for one, other in zip(predictor.score_windows(made), predictor.score(EXAMPLES), strict=True):
        assert one.example is other.example
        np.testing.assert_array_equal(one.scores[0]["labels"], other.scores[0]["labels"])


def test_examples_are_taken_as_they_are_needed(make: Any) -> None:
    taken = 0

    def endless() -> Iterator[ClassificationExample]:
        nonlocal taken
        while True:
            taken += 1
            yield example(taken, 10)  # 12 pieces

    answers = make(batch_pieces=24).predict(endless())
    assert taken == 0
    next(answers)
    assert taken <= 64 * 24 // 12 + 1
    first = taken
    for _ in range(first):
        next(answers)
    assert first < taken <= 2 * first


def test_a_pass_of_the_encoder_stays_within_the_budget_and_there_are_few(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = make(batch_pieces=320)
    passes = counted_passes(predictor, monkeypatch)
    long = example(0, 5000)
    [scored] = predictor.score([long])
    pieces = sum(len(window.pieces) for window in scored.windows)
    assert len(scored.windows) > 400
    assert max(passes) <= 320
    assert len(passes) == -(-pieces // 320)
    assert sum(passes) < 1.01 * pieces
    passes.clear()
    pieces = sum(len(window.pieces) for scored in predictor.score(EXAMPLES) for window in scored.windows)
    assert max(passes) <= 320
    assert len(passes) <= 1.5 * pieces / 320 + 1


def test_the_parts_of_a_long_text_are_those_of_one_pass(make: Any) -> None:
    long = [example(0, 700), *EXAMPLES[:3]]
    for one, other in zip(make(batch_pieces=64).score(long), make(batch_pieces=10**6).score(long), strict=True):
        np.testing.assert_allclose(one.scores[0]["labels"], other.scores[0]["labels"], atol=1e-5)


def test_threads_share_a_predictor_and_nothing_in_it_changes(make: Any) -> None:
    predictor = make(batch_pieces=64)
    before = {name: value.clone() for name, value in predictor.model.state_dict().items()}
    expected = list(predictor.predict(EXAMPLES))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: list(predictor.predict(EXAMPLES)), range(4)))
    assert all(one == expected for one in found)
    assert not predictor.model.training
    assert all(torch.equal(before[name], value) for name, value in predictor.model.state_dict().items())


@pytest.fixture
def make_packed(make: Any) -> Iterator[Any]:
    """As `make`, in bf16; torch's number of threads is put back at the end."""
    threads = torch.get_num_threads()
    predictor = make()
    if not can_pack(predictor.model.bert.encoder, "gelu") or make(precision="auto").precision != "bf16":
        pytest.skip("this processor's library has no bf16 products")
    yield lambda **options: make(precision="bf16", **options)
    torch.set_num_threads(threads)


def labels(predictor: Predictor[Any, Any], examples: Iterable[ClassificationExample]) -> list[list[float]]:
    return [scored.scores[0]["labels"].ravel().tolist() for scored in predictor.score(examples)]


def test_scores_are_the_same_whatever_the_number_of_threads(make_packed: Any) -> None:
    expected = labels(make_packed(threads=1, batch_pieces=64), EXAMPLES)
    for threads in (2, 3):
        predictor = make_packed(threads=threads, batch_pieces=64)
        for _ in range(3):
            assert labels(predictor, EXAMPLES) == expected
            assert torch.get_num_threads() == threads
        with ThreadPoolExecutor(3) as pool:
            assert all(found == expected for found in pool.map(labels, [predictor] * 3, [EXAMPLES] * 3))
    assert labels(make_packed(threads=2, batch_pieces=64), [example(0, 200), *EXAMPLES]) == labels(
        make_packed(threads=1, batch_pieces=64), [example(0, 200), *EXAMPLES]
    )


def test_batches_are_computed_by_workers_with_one_thread_each_and_a_single_one_by_all(
    make_packed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, int]] = []
    predictor = make_packed(threads=2, batch_pieces=64)
    score = predictor.model.score

    def noting(*args: Any) -> Any:
        seen.append((threading.current_thread() is threading.main_thread(), torch.get_num_threads()))
        return score(*args)

    monkeypatch.setattr(predictor.model, "score", noting)
    labels(predictor, EXAMPLES)
    assert len(seen) > 2
    assert set(seen) == {(False, 1)}
    seen.clear()
    labels(predictor, EXAMPLES[:1])
    labels(predictor, [example(0, 200)])  # of several passes
    assert set(seen) == {(True, 2)}


def test_an_error_in_a_worker_is_the_callers(make_packed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = make_packed(threads=2, batch_pieces=64)

    def failing(*_: Any) -> Any:
        raise RuntimeError("no memory")

    monkeypatch.setattr(predictor.model, "score", failing)
    with pytest.raises(RuntimeError, match="no memory"):
        labels(predictor, EXAMPLES)
    assert torch.get_num_threads() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_devices_and_precisions_that_are_not_there(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no GPU"):
        make(device="cuda")
    monkeypatch.setattr("spanbert.training.devices.has_fast_bf16", lambda device: False)
    assert make(precision="auto").precision == "fp32"
    with pytest.raises(ConfigurationError, match="bf16"):
        make(precision="bf16")
