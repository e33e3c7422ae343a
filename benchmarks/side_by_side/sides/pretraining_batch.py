"""What both sides of a pre-training step are given: the same weights and the same masked blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from transformers import BertConfig, BertForMaskedLM, set_seed

from spanbert.tasks.pretraining.batches import PretrainingBatch, assemble
from spanbert.tasks.pretraining.blocks import FlatBlocks
from spanbert.tasks.pretraining.masking import MaskedBlocks, MaskingConfig, MaskingVocabulary, mask_blocks

_SPECIAL = (0, 1, 2, 3, 4)
_CLS, _SEP, _MASK = 2, 3, 4
PROVEN_GRADIENTS = (
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.0.attention.self.query.weight",
    "bert.encoder.layer.0.output.dense.weight",
)
"""Parameters whose gradients of the MLM loss are compared, by their norms."""


def shared_weights(settings: dict[str, Any]) -> Path:
    """The folder of a BertForMaskedLM with random weights; whichever side comes first makes it."""
    folder = Path(settings["weights"])
    if not (folder / "config.json").exists():
        set_seed(0)
        width = settings["width"]
        config = BertConfig(
            vocab_size=settings["vocab_size"],
            hidden_size=width,
            num_hidden_layers=settings["layers"],
            num_attention_heads=settings["heads"],
            intermediate_size=4 * width,
            max_position_embeddings=512,
        )
        BertForMaskedLM(config).save_pretrained(folder)
    return folder


def masked_blocks(settings: dict[str, Any]) -> MaskedBlocks:
    """Full blocks of random words, a quarter of the pieces continuing one, masked as the paper says."""
    random = np.random.default_rng(0)
    num_blocks, length = settings["blocks"], settings["length"] - 2
    num_pieces = num_blocks * length
    blocks = FlatBlocks(
        pieces=random.integers(len(_SPECIAL), settings["vocab_size"], num_pieces),
        word_starts=random.random(num_pieces) > 0.25,
        offsets=np.arange(num_blocks + 1) * length,
        indices=np.arange(num_blocks),
        units=np.empty((0, 2), np.int64),
    )
    vocabulary = MaskingVocabulary(_MASK, _SPECIAL, np.ones(settings["vocab_size"], dtype=np.int64))
    return mask_blocks(blocks, MaskingConfig(), seed=0, epoch=0, vocabulary=vocabulary)


def masked_batch(settings: dict[str, Any]) -> PretrainingBatch:
    """The blocks with their special pieces, as our training loop gets them."""
    masked = masked_blocks(settings)
    return assemble(masked, np.arange(settings["blocks"]), cls_id=_CLS, sep_id=_SEP, sbo_positions=20)
