"""Split a task's data file into train.jsonl and test.jsonl, by the rule of `spanbert finetune`'s own dev split.

    python benchmarks/split_data.py TASK FILE FOLDER [--test-share 0.2] [--most-train N] [--most-test N] [--seed 0] \
        [data options of the task, as `spanbert check TASK --help` shows them]

Examples that belong together (questions of one article) stay on one side, labels in proportion. `--most-...` keeps the
first so many of a side; `--test-share 0` brings all into train.jsonl, whatever belongs together.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from spanbert.finetuning.splits import split
from spanbert.options import parse_options
from spanbert.task import examples_of
from spanbert.tasks import find_task


def main() -> None:
    """Read, split, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("file")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test-share", type=float, default=0.2)
    parser.add_argument("--most-train", type=int)
    parser.add_argument("--most-test", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments, rest = parser.parse_known_args()
    task_class = find_task(arguments.task)
    options = parse_options(task_class.data_options, rest, program="split_data.py")
    located, problems = examples_of(task_class.read(arguments.file, options))
    task = task_class(task_class.settings_class())
    examples = [one.example for one in located]
    share = arguments.test_share
    train, test = split(task, examples, share, seed=arguments.seed) if share else (examples, [])
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, examples, most in (("train", train, arguments.most_train), ("test", test, arguments.most_test)):
        lines = [json.dumps(example.to_json(), ensure_ascii=False) + "\n" for example in examples[:most]]
        (arguments.folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{name}: {len(lines):,} examples")
    print(f"{sum(problem.skipped for problem in problems):,} bad records were left out")


if __name__ == "__main__":
    main()
