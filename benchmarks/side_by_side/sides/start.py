"""A process from its start to its end, with whatever it imports, opens and writes.

Settings: `program`, the words after `python`; and, where it needs them, `task` and `data`, a folder to which the
sample corpus is written as data for the task (with one.jsonl, a single record, and predictions.jsonl, the right
answers of dev.jsonl as predictions), `model`, a folder for a model that is fine-tuned on it for two steps, and `base`,
the model it is made from. What is there already stays. A round runs the program once; units are processes. Files are
in memory, bytecode written and golden answers checked after the warm-up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from side_by_side.worker import Job, serve

_STEPS = 2  # how good the model is does not matter here


def load(settings: dict[str, Any]) -> Job:
    """Make the files, then run the program."""
    if "data" in settings:
        _write_data(settings["task"], Path(settings["data"]))
    if "model" in settings:
        _write_model(settings["task"], Path(settings["data"]), Path(settings["model"]), settings["base"])
    program = [sys.executable, *settings["program"]]
    # As for users: pip compiles what it installs.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> float:
        subprocess.run(program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, check=True)
        return 1

    return Job(run, warm_up=2)


def _write_data(task: str, folder: Path) -> None:
    if not folder.exists():
        _spanbert("sample", folder, "--task", task)
        lines = (folder / "dev.jsonl").read_text(encoding="utf-8").splitlines()
        _write_lines(folder / "one.jsonl", lines[:1])
        _write_lines(folder / "predictions.jsonl", [json.dumps(_predicted(json.loads(line))) for line in lines])


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _predicted(record: dict[str, Any]) -> dict[str, Any]:
    """The right answers of a record in the form in which `spanbert predict` gives answers."""
    if "question" in record:
        return {"id": record["id"], "text": record["answers"][0]["text"] if record["answers"] else ""}
    if "relations" in record:
        ends = [
            {"head": record["entities"][one["head"]], "tail": record["entities"][one["tail"]]}
            for one in record["relations"]
        ]
        return record | {"relations": [one | end for one, end in zip(record["relations"], ends, strict=True)]}
    return record


def _write_model(task: str, data: Path, folder: Path, base: str) -> None:
    if not folder.exists():
        files = ["--train", data / "dev.jsonl", "--dev", data / "one.jsonl"]
        _spanbert("finetune", task, "--model", base, *files, "--output", folder, "--steps", _STEPS)


def _spanbert(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "spanbert", *map(str, words)], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    serve(load)
