"""What is imported before a command answers: seconds of start-up, counted without a clock."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_classifier import tiny_classifier

from spanbert.tasks import TASKS

# importlib.metadata brings the packages for mail and zip files, typeguard asyncio and the mocks of unittest.
SLOW_TO_IMPORT = {
    "torch", "transformers", "accelerate", "huggingface_hub", "safetensors", "matplotlib", "pandas", "sklearn", "scipy",
    "typeguard", "asyncio", "importlib.metadata", "unittest.mock",
}  # fmt: skip

_RUN = """
import json, sys
from spanbert.cli import main
words = json.loads(sys.argv[1])
try:
    status = main(words)
except SystemExit as stopped:
    status = stopped.code
print(json.dumps({"status": status, "modules": sorted(sys.modules)}), file=sys.stderr)
"""

_PREDICT = """
import json, sys
import torch
from transformers import PreTrainedModel
before = set(sys.modules)
import spanbert
spanbert.load(sys.argv[1], device="cpu").predict("Good.")
print(json.dumps(sorted(sys.modules.keys() - before)))
"""


def run(*words: str) -> tuple[int, set[str]]:
    """The exit status of a command in a process of its own, and the modules it imported."""
    program = [sys.executable, "-c", _RUN, json.dumps(words)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    told = json.loads(done.stderr.splitlines()[-1])
    return told["status"], set(told["modules"])


def test_the_modules_of_a_command_are_seen() -> None:
    status, modules = run("--version")
    assert status == 0
    assert "importlib.metadata" in modules


def test_help_imports_no_verb() -> None:
    status, modules = run("--help")
    assert status == 0
    assert not modules & (SLOW_TO_IMPORT | {"numpy", "tyro", "rich", "tokenizers"})


@pytest.mark.parametrize("task", TASKS)
def test_checking_and_scoring_import_nothing_slow(task: str, task_files: Callable[[str], Path]) -> None:
    file = str(task_files(task) / "dev.jsonl")
    for words in [("check", task, file), ("score", task, file, file)]:
        status, modules = run(*words)
        assert status in (0, 1), "1 where a record has no answer to learn from"
        assert "spanbert.tasks" in modules
        # The alignment of CEAF is scipy's.
        known = {"scipy", "importlib.metadata"} if words[:2] == ("score", "coreference") else set()
        assert not modules & (SLOW_TO_IMPORT - known), words


@pytest.mark.parametrize("words", [("predict",), ("finetune", "ner"), ("check", "coreference"), ("score", "relations")])
def test_help_of_a_verb_imports_nothing_slow(words: tuple[str, ...]) -> None:
    status, modules = run(*words, "--help")
    assert status == 0
    assert not modules & (SLOW_TO_IMPORT | {"rich"})


def test_the_first_prediction_imports_little_beside_transformers(tmp_path: Path) -> None:
    tiny_classifier(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT, str(tmp_path / "model")], capture_output=True, text=True, check=True
    )
    added = set(json.loads(done.stdout.splitlines()[-1]))
    assert "spanbert.encoder" in added
    assert not {name.partition(".")[0] for name in added} & {
        "rich", "matplotlib", "pandas", "sklearn", "scipy", "accelerate", "datasets", "peft", "typeguard"
    }  # fmt: skip
    assert not {name for name in added if name.startswith("transformers.models.bert.")} - {
        "transformers.models.bert.configuration_bert"
    }
    # Drawing curves, learning and pre-training have no part in an answer.
    assert not {name for name in added if name.startswith(("spanbert.finetuning", "spanbert.evaluation.plots"))}
