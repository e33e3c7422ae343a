"""Held-out blocks: the sums by block are those of `spanbert evaluate`, taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spanbert.ablation.held_out import FIGURES, HeldOutBlocks, measure_blocks
from spanbert.evaluation.bootstrap import resample
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import SingleSequences
from spanbert.tasks.pretraining.evaluate import EvaluateConfig, evaluate_pretraining
from spanbert.tasks.pretraining.masking import Scheme


@pytest.mark.parametrize("scheme", ["pieces", "spans"])
def test_all_blocks_together_have_the_figures_of_evaluate(finished: Path, corpus_folder: Path, scheme: Scheme) -> None:
    config = EvaluateConfig(
        model=str(finished / "rows/spans/seed-0/pretraining/encoder"), corpus=corpus_folder, scheme=scheme,
        sequence_length=64, micro_batch_pieces=500, max_blocks=12, device="cpu", precision="fp32", threads=1,
    )  # fmt: skip
    documents = Corpus.open(corpus_folder).held_out_documents(0.1, 0)
    blocks = measure_blocks(config, documents)
    expected = evaluate_pretraining(config, documents=documents)
    assert len(SingleSequences(Corpus.open(corpus_folder), 64, documents)) >= blocks.num_examples == 12
    assert blocks.figures() == pytest.approx({name: expected[name] for name in FIGURES}, rel=1e-5)
    alone = [blocks.figures(np.array([number]))["mlm_loss"] for number in range(blocks.num_examples)]
    assert blocks.badness() == pytest.approx(alone)
    assert len(set(alone)) == len(alone), "each block has its own"


def test_a_block_counts_by_its_targets() -> None:
    counts = {"mlm": np.array([1.0, 3.0, 0.0]), "spans": np.array([1.0, 2.0, 0.0])}
    sums = {"mlm": np.array([8.0, 12.0, 0.0]), "mlm_correct": np.array([0.0, 3.0, 0.0])}
    blocks = HeldOutBlocks({**sums, "spans_correct": np.array([0.0, 2.0, 0.0])}, counts)
    assert blocks.figures() == pytest.approx({"mlm_loss": 5, "mlm_accuracy": 0.75, "exact_span_accuracy": 2 / 3})
    assert blocks.figures(np.array([0, 0, 1]))["mlm_loss"] == pytest.approx(28 / 5)
    assert blocks.figures(np.array([2, 2])) == {}, "nothing is masked, so there is nothing to measure"
    assert blocks.badness().tolist() == [8, 4, 0]
    interval = resample(blocks, samples=200).intervals()["mlm_loss"]
    assert (interval.low, interval.value, interval.high) == pytest.approx((4, 5, 8))
