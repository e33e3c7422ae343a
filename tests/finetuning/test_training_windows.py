"""Examples as batches: how much is padding, how often things are computed, and texts without a piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_finetuning import few_records, no_picture, options_for

import spanbert
from spanbert.batching import collate, cut_batches
from spanbert.checkpoint_sources import load_tokenizer
from spanbert.errors import InputError
from spanbert.finetuning.data import FinetuneData, PreparedExamples, TrainingWindows
from spanbert.task import Window
from spanbert.task_checkpoints import new_task_model
from spanbert.tasks import find_task
from spanbert.tasks.classification.task import Classification
from spanbert.unpadded import UnpaddedLayout

TOKENIZER: Any = None


def window(length: int) -> Window:
    return Window(pieces=np.arange(length), counts={"label": 1})


@dataclass(frozen=True)
class Numbered:
    id: str
    lengths: tuple[int, ...]


class Windows:
    """The part of a task that is needed: one window of each length."""

    unit = "window"

    def features(self, example: Numbered, tokenizer: object, *, training: bool) -> list[Window]:
        if not example.lengths:
            raise InputError("there is nothing to see")
        return [window(length) for length in example.lengths]

    def training_units(self, example: Numbered, tokenizer: object) -> list[list[Window]]:
        return [[one] for one in self.features(example, tokenizer, training=True)]


TASK: Any = Windows()


def data_of(num_units: int, batch_size: int, *, seed: int = 0, micro: int = 10_000) -> FinetuneData:
    windows = TrainingWindows.of(TASK, [Numbered(str(n), (n + 1,)) for n in range(num_units)], TOKENIZER)
    return FinetuneData(windows, batch_size, micro, seed=seed)


def lengths_seen(data: FinetuneData, step: int, ranks: int) -> list[int]:
    """The lengths of all windows of a step, over all processes; each unit has a length of its own."""
    return [
        int(length)
        for rank in range(ranks)
        for batch in data.micro_batches(step, rank, ranks)
        for length in np.diff(batch.layout.starts.numpy(), append=batch.layout.num_pieces)
    ]


@settings(max_examples=40, deadline=None)
@given(num_units=st.integers(1, 40), batch_size=st.integers(2, 16), ranks=st.integers(1, 2), micro=st.integers(1, 200))
def test_every_epoch_shows_every_unit_once_over_any_number_of_processes(
    num_units: int, batch_size: int, ranks: int, micro: int
) -> None:
    data = data_of(num_units, batch_size, micro=micro)
    steps = 3 * num_units // batch_size
    seen = [length for step in range(steps) for length in lengths_seen(data, step, ranks)]
    whole = len(seen) // num_units
    counts = Counter(seen)
    assert all(whole <= counts[n + 1] <= whole + 1 for n in range(num_units))


def test_epochs_have_orders_of_their_own_and_seeds_too() -> None:
    first, second = (lengths_seen(data_of(50, 5), step, 1) for step in (0, 10))  # each the first of an epoch
    assert sorted(first) != sorted(second)
    assert sorted(lengths_seen(data_of(50, 5, seed=1), 0, 1)) not in (sorted(first), sorted(second))


def test_an_example_that_cannot_be_shown_is_named() -> None:
    with pytest.raises(InputError, match="example 'bad': there is nothing to see"):
        TrainingWindows.of(TASK, [Numbered("good", (3,)), Numbered("bad", ())], TOKENIZER)
    with pytest.raises(InputError, match="nothing to train on"):
        TrainingWindows.of(TASK, [], TOKENIZER)
    with pytest.raises(InputError, match="nothing to validate on"):
        PreparedExamples.of(TASK, [Numbered("good", (3,))], [], TOKENIZER)


def test_little_of_what_is_computed_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(8, 385, 600)
    units = [[window(int(length))] for length in lengths]
    predicted = [collate([units[number] for number in batch]) for batch in cut_batches(units, 8192)]
    rows, attended = computed_beside_pieces([batch.layout for batch in predicted])
    assert rows < 0.06
    assert attended < 0.12
    windows = TrainingWindows.of(TASK, [Numbered(str(n), (int(one),)) for n, one in enumerate(lengths)], TOKENIZER)
    data = FinetuneData(windows, 32, 8192, seed=0)
    rows, attended = computed_beside_pieces(
        [batch.layout for step in range(18) for batch in data.micro_batches(step, 0, 1)]
    )
    assert rows < 0.06
    assert attended < 0.15  # padded to the longest window of a step it would be 0.9


def computed_beside_pieces(layouts: list[UnpaddedLayout]) -> tuple[float, float]:
    """What is computed for nothing outside and inside attention, as shares of the pieces."""
    pieces = sum(layout.num_pieces for layout in layouts)
    rows = sum(layout.num_rows for layout in layouts)
    attended = sum(number * length for layout in layouts for number, length in layout.groups.shapes)
    return rows / pieces - 1, attended / pieces - 1


def test_everything_is_turned_into_windows_once(
    encoder_folder: Path, task_files: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = few_records("classification", task_files, tmp_path)
    seen: Counter[tuple[str, bool]] = Counter()
    original = Classification.features

    def counting(self: Classification, example: Any, tokenizer: Any, *, training: bool) -> list[Window]:
        seen[example.id, training] += 1
        return original(self, example, tokenizer, training=training)

    monkeypatch.setattr(Classification, "features", counting)
    monkeypatch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)
    spanbert.finetune(
        "classification",
        **options_for("classification", model=str(encoder_folder), train=train, dev=dev, output=tmp_path / "model"),
        validate_every=1,
        seeds=2,
    )
    golden = {example.id for example in Classification.golden_examples()}
    assert set(seen.values()) == {1, 2}
    assert {
        example for example, training in seen if seen[example, training] == 2
    } <= golden  # once for each seed's model
    assert len(seen) == 48 + 24 + len(golden)


@pytest.mark.parametrize("name", ["question-answering", "ner", "relations"])  # classification refuses such texts
def test_texts_without_a_piece_teach_nothing_and_break_nothing(
    name: str, encoder_folder: Path, task_files: Callable[[str], Path], tmp_path: Path
) -> None:
    train, _ = few_records(name, task_files, tmp_path)
    task: Any = find_task(name)
    examples = [one.example for one in task.read(train, task.data_options())][:6]
    invisible = "\u200b\0\ufeff"
    record: dict[str, Any] = {"id": "nothing", "text": invisible}
    if name == "question-answering":
        record = {"id": "nothing", "question": invisible, "context": invisible, "answers": []}
    elif name == "ner":
        record["entities"] = []
    else:
        record["entities"] = [{"start": 0, "end": 1, "type": "A"}, {"start": 2, "end": 3, "type": "B"}]
        record["relations"] = [{"head": 0, "tail": 1, "relation": examples[0].relations[0].label}]
    learned = task(task.settings_class(max_length=64, stride=16)).learn(examples)
    model, tokenizer, _ = new_task_model(learned, encoder_folder)
    windows = TrainingWindows.of(learned, [*examples, learned.example(record)], tokenizer)
    model.train(True)
    losses = model(collate(windows.units)).losses
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    alone = TrainingWindows.of(learned, [learned.example(record)], tokenizer)
    assert all(bool(torch.isfinite(loss)) for loss in model(collate(alone.units)).losses.values())


def test_the_tokenizer_of_the_tests_has_no_piece_for_the_invisible(encoder_folder: Path) -> None:
    assert not len(load_tokenizer(encoder_folder).encode("\u200b\0\ufeff"))
