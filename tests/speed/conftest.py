"""What the tests that count operations share: the whole sample corpus prepared, and a tiny encoder of its vocabulary.

The widths are numbers that come up nowhere else, so that products of matrices can be told apart by their shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from counted_runs import HEADS, LAYERS, WIDE, WIDTH, Run, finetune_and_count

from spanbert.tasks.pretraining.corpus import Corpus


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documents of the sample corpus in JSON lines, as `spanbert sample` writes them."""
    from spanbert.sample_corpus.export import SampleConfig
    from spanbert.sample_corpus.export import run as export

    folder = tmp_path_factory.mktemp("text")
    export(SampleConfig(output=folder, format="jsonl"))
    return folder / "sample.jsonl"


@pytest.fixture(scope="session")
def whole_corpus(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Prepared with a vocabulary large enough for texts of realistic lengths in pieces."""
    from spanbert import PrepareConfig, prepare

    output = tmp_path_factory.mktemp("whole") / "corpus"
    return prepare(PrepareConfig(inputs=(str(text),), output=output, vocab_size=3000, workers=1, quiet=True))


@pytest.fixture(scope="session")
def counted_encoder(whole_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder of random weights."""
    import torch

    from spanbert.checkpoints import save_pretraining_model
    from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining, initial_config

    torch.manual_seed(0)
    config = initial_config(
        PretrainingSettings(sbo_positions=20, nsp=False),
        vocab_size=whole_corpus.vocab_size,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=WIDE,
        max_position_embeddings=512,
        attention_probs_dropout_prob=0.0,
    )
    folder = tmp_path_factory.mktemp("counted") / "encoder"
    save_pretraining_model(SpanBertForPreTraining(config), whole_corpus.tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def finetuned(
    counted_encoder: Path, task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Run]:
    """A function that fine-tunes a task once, and tells what was computed."""
    runs: dict[str, Run] = {}

    def run(task: str) -> Run:
        if task not in runs:
            folder = tmp_path_factory.mktemp(task)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SPANBERT_CACHE", str(folder / "cache"))
                runs[task] = finetune_and_count(task, counted_encoder, task_files(task), folder, patch)
        return runs[task]

    return run
