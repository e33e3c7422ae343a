"""The runs of an ablation, each in a folder of its own: done once, gone on with where it stopped (see `folder`)."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spanbert.ablation.config import ROWS, AblateConfig, RowName
from spanbert.ablation.folder import Cell
from spanbert.ablation.held_out import HeldOutBlocks, measure_blocks
from spanbert.ablation.task_tables import AblationTask
from spanbert.evaluation.bootstrap import Resampled, resample
from spanbert.example_sets import load_examples
from spanbert.finetuning.finetune import finetune_files
from spanbert.loading import load
from spanbert.prediction_stream import rounded
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import BlockStream, SegmentPairs, SingleSequences
from spanbert.tasks.pretraining.evaluate import EvaluateConfig
from spanbert.tasks.pretraining.masking import Scheme
from spanbert.tasks.pretraining.pretrain import HELD_OUT, pretrain
from spanbert.training.record import write_json
from spanbert.training.run import read_record

MEASURED_SCHEMES: tuple[Scheme, ...] = ("pieces", "spans")
"""The masks that every encoder is measured under, whatever it learned from."""

_KEPT = {"run.json", "history.jsonl", "curves.png"}
"""What stays of a fine-tuned model."""


def pretrain_cell(config: AblateConfig, cell: Cell, corpus: Corpus) -> int:
    """Pre-train an encoder and measure it on the held-out documents.

    Returns:
        0, or the number of the signal after which the run saved its state and stopped.

    Raises:
        SpanBertError: as `pretrain`.
    """
    record = read_record(cell.encoder)
    if record.get("status") != "finished":
        options = config.pretraining(
            cell.row,
            cell.seed,
            cell.encoder,
            batch_size=blocks_of_a_step(config, cell.row, corpus),
            resume=bool(record),
        )
        cell.pretraining.mkdir(parents=True, exist_ok=True)
        with _timed(cell.pretraining / "times.json"):
            result = pretrain(options)
        gc.collect()  # the engine ties a model into cycles
        if result.stopped_by:
            return result.stopped_by
    shutil.rmtree(cell.encoder / "checkpoints", ignore_errors=True)
    own = read_record(cell.encoder)["metrics"].get(HELD_OUT, {})
    held_out = {scheme: _held_out_blocks(config, cell, corpus, scheme) for scheme in MEASURED_SCHEMES}
    resampled = {scheme: resample(blocks, samples=config.samples) for scheme, blocks in held_out.items()}
    num_blocks = blocks_of_a_step(config, cell.row, corpus)
    write_json(
        cell.pretraining / "measured.json",
        {
            "held_out": {scheme: one.figures for scheme, one in resampled.items()},
            "held_out_blocks": held_out[MEASURED_SCHEMES[0]].num_examples,  # the same under all schemes
            "held_out_drawn": {scheme: _drawn(one, "mlm_loss") for scheme, one in resampled.items()},
            "own_held_out": {name: value for name, value in own.items() if name != "step"},
            "blocks_of_a_step": num_blocks,
            "pieces": round(config.steps * num_blocks * _pieces_of_a_block(config, corpus, nsp=ROWS[cell.row].nsp)),
            **_total_time(cell.pretraining / "times.json"),
        },
    )
    return 0


def _held_out_blocks(config: AblateConfig, cell: Cell, corpus: Corpus, scheme: Scheme) -> HeldOutBlocks:
    """The masked language model on single sequences of the held-out documents, whatever it learned from."""
    options = EvaluateConfig(
        model=str(cell.encoder),
        corpus=config.corpus,
        scheme=scheme,
        budget=config.budget,
        sequence_length=config.sequence_length,
        max_blocks=config.max_validation_blocks,
        micro_batch_pieces=config.micro_batch_pieces,
        seed=config.seed,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
    )
    return measure_blocks(options, corpus.held_out_documents(config.held_out, config.seed))


def _drawn(resampled: Resampled, figure: str) -> list[float | None]:
    """A figure in each draw; None where a draw does not have it."""
    column = resampled.drawn[:, list(resampled.figures).index(figure)]
    return [None if value != value else value for value in rounded(column.tolist())]


def blocks_of_a_step(config: AblateConfig, row: RowName, corpus: Corpus) -> int:
    """Blocks of one optimiser step, such that all rows see the same number of pieces in a step, to within a block."""
    single, own = (_pieces_of_a_block(config, corpus, nsp=nsp) for nsp in (False, ROWS[row].nsp))
    return max(1, round(config.batch_size * single / own))


def _pieces_of_a_block(config: AblateConfig, corpus: Corpus, *, nsp: bool) -> float:
    """Pieces of a block of the documents that are learned from, special ones counted: the mean."""
    documents = ~corpus.held_out_documents(config.held_out, config.seed)
    stream: BlockStream = (
        SegmentPairs(corpus, config.sequence_length, documents, seed=config.seed)
        if nsp
        else SingleSequences(corpus, config.sequence_length, documents)
    )
    return float(stream.lengths().mean()) + (3 if nsp else 2)


@contextmanager
def _timed(path: Path) -> Iterator[None]:
    """Add the seconds of what is done inside to a file of sessions; one that is killed leaves none."""
    sessions = _sessions(path)
    write_json(path, {"sessions": [*sessions, {}]})
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    took = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    write_json(path, {"sessions": [*sessions, took]})


def _sessions(path: Path) -> list[dict[str, float]]:
    return list(json.loads(path.read_text(encoding="utf-8"))["sessions"]) if path.exists() else []


def _total_time(path: Path) -> dict[str, Any]:
    """Seconds over all sessions, and whether one was killed and is missing."""
    sessions = _sessions(path)
    total = {key: sum(one.get(key, 0.0) for one in sessions) for key in ("wall_seconds", "cpu_seconds")}
    return {**total, "time_is_whole": all(sessions), "interrupted": len(sessions) - 1}


def finetune_cell(config: AblateConfig, cell: Cell, task: AblationTask) -> int:
    """Fine-tune an encoder for a task and measure it on the test file.

    Returns:
        0, or the number of the signal after which the run saved its state and stopped.

    Raises:
        SpanBertError: as `finetune`.
    """
    folder = cell.of_task(task.folder)
    model = folder / "model"
    options = task.finetuning(config, model=cell.encoder, output=model, seed=cell.seed)
    result = finetune_files(options, task.kind(task.settings))
    gc.collect()
    if result.stopped_by:
        return result.stopped_by
    _measure(config, task, model, folder, dev=result.metrics)
    if not config.keep_models:
        for path in model.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _KEPT:
                path.unlink()
    return 0


def _measure(config: AblateConfig, task: AblationTask, model: Path, folder: Path, *, dev: Mapping[str, float]) -> None:
    """Answers and figures on the test file, with the figure of every sample of the bootstrap."""
    located = load_examples(task.kind, task.test, task.settings, strict=False, say=_silent)
    examples = [one.example for one in located]
    tuned = load(model, device=config.device, precision=config.precision, threads=config.threads, golden="skip")
    predictions = list(tuned.predictor.predict(examples))
    lines = (json.dumps(rounded(prediction.to_json()), ensure_ascii=False) + "\n" for prediction in predictions)
    (folder / "predictions.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")
    resampled = resample(task.kind.compare(examples, predictions, task.settings), samples=config.samples)
    write_json(
        folder / "measured.json",
        {
            "examples": len(examples),
            "figures": {name: interval.to_json() for name, interval in resampled.intervals().items()},
            "dev": dict(dev),
            "drawn": _drawn(resampled, task.metric),
        },
    )


def _silent(line: str) -> None:
    """What is wrong with the file was said when the tasks were read."""
