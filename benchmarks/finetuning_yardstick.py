"""The same weights, data, learning rate, batch and epochs through a plain `transformers` loop and through `spanbert`.

    python benchmarks/finetuning_yardstick.py TASK --model DIR --train F --test F --variant padded-fp32|dynamic-bf16|...

The plain loop is that of the examples of `transformers` (`run_qa`, `run_ner`, `run_glue`): features made beforehand,
padded to the maximal length (their default) or to the longest of a batch, AdamW, a linear schedule with 10 % warm-up,
clipping at 1, dropout as the model's config says. Both sides are scored by the same function, which equals the field's
official scorer. One JSON line comes out: figures, seconds, pieces per second (padding not counted), peak memory.

`training_seconds` of `spanbert` has everything from examples in memory to the trained model: features, checkpoints, one
validation of a few examples. That of the plain loop has its steps alone; its features are in `preparation_seconds`.

With --max-steps N training stops after N steps; `training_seconds` is then extrapolated to all steps (without the first
two, which warm up), `"extrapolated": true` says so, and nothing is predicted unless --predict asks for it.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from yardstick_loop import PlainLoop
from yardstick_spanbert import figures_of, run_spanbert
from yardstick_tasks import TASKS, Features

PLAIN = ("padded-fp32", "padded-bf16", "dynamic-fp32", "dynamic-bf16")
OURS = ("spanbert", "spanbert-fp32", "spanbert-bf16")


def train(loop: PlainLoop, features: Features, options: argparse.Namespace) -> dict[str, Any]:
    """All epochs, or --max-steps."""
    loader = loop.loader(features, shuffle=True)
    steps = len(loader) * options.epochs
    schedule = loop.schedule(steps)
    most = min(steps, options.max_steps or steps)
    loop.model.train()
    ends = [time.perf_counter()]
    pieces = [0]
    while len(ends) <= most:
        for batch in loader:
            loop.step(batch, schedule)
            pieces.append(int(batch["attention_mask"].sum()))
            if loop.device.type == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())
            if len(ends) > most:
                break
    warm = 2 if most < steps and most > 2 else 0
    seconds = ends[-1] - ends[warm]
    return {
        "training_seconds": round(seconds * steps / (most - warm), 1),
        "extrapolated": most < steps,
        "steps": most,
        "training_pieces_per_second": round(sum(pieces[warm + 1 :]) / seconds),
    }


def run_plain(options: argparse.Namespace) -> dict[str, Any]:
    """Train, predict and score in the way of the examples."""
    begin = time.perf_counter()
    task = TASKS[options.task](options.train, options.test, options.train_limit, options.test_limit)
    loop = PlainLoop(
        task,
        options.model,
        options.variant,
        torch.device("cuda" if torch.cuda.is_available() and options.device != "cpu" else "cpu"),
        seed=options.seed,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
    )
    if options.max_length is not None:
        task.max_length = options.max_length  # type: ignore[misc]  # the class has the default
    features = task.features(loop.tokenizer, task.train, loop.padding, training=True)
    record: dict[str, Any] = {"training_windows": len(features)}
    record["preparation_seconds"] = round(time.perf_counter() - begin, 1)
    record |= train(loop, features, options)
    if options.max_steps is None or options.predict:
        begin = time.perf_counter()
        test = task.features(loop.tokenizer, task.test, loop.padding, training=False)
        answers = task.answers(task.test, test, loop.predict(test))
        record["prediction_seconds"] = seconds = round(time.perf_counter() - begin, 1)
        num_pieces = int(sum(np.sum(feature["attention_mask"]) for feature in test))
        record["prediction_pieces_per_second"] = round(num_pieces / seconds)
        record["figures"] = figures_of(options.task, options.test, answers)
    return record


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--model", type=Path, required=True, help="folder of a BERT")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--variant", choices=(*PLAIN, *OURS), default="padded-fp32")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument(
        "--max-length",
        type=int,
        help="pieces of a window; plain: 384 in question answering, else 128, and what is longer "
        "is cut; spanbert has windows of its own defaults",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--max-steps", type=int, help="stop after so many steps and extrapolate the time")
    parser.add_argument("--predict", action="store_true", help="also predict after --max-steps")
    parser.add_argument("--train-limit", type=int, help="only the first examples of the training file")
    parser.add_argument("--test-limit", type=int, help="only the first examples of the test file")
    return parser.parse_args()


def main() -> None:
    """Print one JSON line."""
    options = parse_options()
    transformers.logging.set_verbosity_error()
    shown = ("task", "variant", "epochs", "learning_rate", "batch_size", "seed")
    run = run_spanbert if options.variant in OURS else run_plain
    record = {name: getattr(options, name) for name in shown} | run(options)
    record["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if torch.cuda.is_available():
        record["peak_device_memory_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
    print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
