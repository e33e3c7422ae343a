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


@pytest.fixture(scope="session")
def encoder_folder(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights with a vocabulary of the sample corpus: what fine-tuning starts from in tests."""
    import torch

    from spanbert.checkpoints import save_pretraining_model
    from spanbert.tasks.pretraining.corpus import Corpus
    from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining, initial_config

    tokenizer = Corpus.open(corpus_folder).tokenizer
    torch.manual_seed(0)
    model = SpanBertForPreTraining(
        initial_config(
            PretrainingSettings(sbo_positions=4, nsp=False),
            vocab_size=tokenizer.vocab_size,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=128,
        )
    )
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    save_pretraining_model(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def task_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives a folder with train.jsonl and dev.jsonl of the sample corpus for a task."""
    from spanbert.sample_corpus import sample_documents
    from spanbert.sample_corpus.task_files import write_task_files

    folders: dict[str, Path] = {}

    def files(task: str) -> Path:
        if task not in folders:
            folders[task] = tmp_path_factory.mktemp(task)
            write_task_files(task, sample_documents(), folders[task])
        return folders[task]

    return files
