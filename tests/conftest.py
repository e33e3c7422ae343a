"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Before torch is imported: the models of the tests are too small for two threads to help one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of twenty documents of the sample corpus, with their entities."""
    from spanbert.sample_corpus.export import SampleConfig
    from spanbert.sample_corpus.export import run as export
    from spanbert.tasks.pretraining.prepare import PrepareConfig, prepare

    folder = tmp_path_factory.mktemp("corpus")
    export(SampleConfig(output=folder, format="jsonl"))
    lines = (folder / "sample.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "twenty.jsonl").write_text("".join(lines[::4][:20]), encoding="utf-8")
    config = PrepareConfig(
        inputs=(str(folder / "twenty.jsonl"),), output=folder / "corpus", vocab_size=800, workers=1, quiet=True
    )
    return prepare(config).path


@pytest.fixture
def tiny(corpus_folder: Path, tmp_path: Path) -> Callable[..., Any]:
    """A function that makes the `PretrainConfig` of a run of seconds; keywords override."""
    from spanbert.tasks.pretraining.config import PretrainConfig

    def config(**options: Any) -> PretrainConfig:
        defaults: dict[str, Any] = {
            "corpus": corpus_folder,
            "output": tmp_path / "model",
            "layers": 1,
            "width": 32,
            "heads": 2,
            "sequence_length": 64,
            "max_positions": 64,
            "batch_size": 8,
            "steps": 6,
            "save_every": 2,
            "validate_every": 6,
            "log_every": 1,
            "held_out": 0.1,
            "precision": "fp32",
            "device": "cpu",
            "quiet": True,
        }
        return PretrainConfig(**{**defaults, **options})

    return config
