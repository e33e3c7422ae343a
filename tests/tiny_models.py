"""Tiny models and files for the tests of checkpoints: random weights, a vocabulary of a few English words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForPreTraining, BertPreTrainedModel

from spanbert.key_maps import ORIGINAL
from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining, initial_config
from spanbert.tokenization import PieceTokenizer
from spanbert.unpadded import UnpaddedLayout

WORDS = "the capital of France is Paris and a patient with stenosis needs stent ##s ##en ##t ##osis ste . , s t e"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
SIZES: dict[str, Any] = {
    "vocab_size": len(PIECES),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}
IDS = torch.tensor([[2, 5, 6, 4, 4, 9, 3], [2, 8, 4, 10, 11, 12, 3]])


@torch.no_grad()
def our_logits(model: SpanBertForPreTraining, ids: torch.Tensor = IDS) -> torch.Tensor:
    """[B, T] ids -> [B, T, V] logits of the masked language model."""
    layout = UnpaddedLayout.from_lengths(torch.tensor([ids.shape[1]] * len(ids)))
    hidden = model.bert.encode(ids.flatten(), layout)
    return model.masked_piece_logits(hidden, torch.arange(ids.numel())).view(*ids.shape, -1)


def assert_close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def tiny_tokenizer(folder: Path) -> PieceTokenizer:
    """The tokenizer of all tiny models; its vocab.txt stays in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece in PIECES), encoding="utf-8")
    return PieceTokenizer.load(folder)


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    """Give every parameter a value that initialisation would not: a wrong name then shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def tiny_model(*, sbo_positions: int = 7, nsp: bool = False, **fields: Any) -> SpanBertForPreTraining:
    """One of ours."""
    model = SpanBertForPreTraining(
        initial_config(PretrainingSettings(sbo_positions=sbo_positions, nsp=nsp), **SIZES | fields)
    )
    randomise(model)
    return model.eval()


def tiny_bert(model_class: type[BertPreTrainedModel] = BertForPreTraining, **fields: Any) -> Any:
    """One of Hugging Face's."""
    model = model_class(BertConfig(**SIZES | fields))
    randomise(model)
    return model.eval()


def save_bert(model: Any, folder: Path) -> Path:
    """A model folder as `transformers` writes it, with a vocabulary."""
    model.save_pretrained(folder)
    tiny_tokenizer(folder)
    return folder


class Meter:
    """A class of the training program, which a checkpoint may hold an object of."""

    def __init__(self) -> None:
        self.total = 1.5


def original_state(model: SpanBertForPreTraining, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """The tensors of a model under the names of the original release."""
    state = {
        ORIGINAL.to_theirs(name): value.detach().clone().to(dtype)
        for name, value in model.state_dict().items()
        if name != "cls.predictions.decoder.bias"
    }
    embeddings = state["decoder.bert.embeddings.word_embeddings.weight"]
    state["decoder.cls.predictions.decoder.weight"] = embeddings
    state["decoder.cls.pair_target_predictions.decoder.weight"] = embeddings
    return state


def save_original(
    path: Path, model: SpanBertForPreTraining, *, dtype: torch.dtype = torch.float32, zipped: bool = True, **args: Any
) -> Path:
    """A training checkpoint of the original release."""
    content = {
        "args": argparse.Namespace(arch="some_name", **args),
        "model": original_state(model, dtype),
        "optimizer_history": [{"num_updates": 10, "meter": Meter()}],
        "extra_state": {"epoch": 3, "train_meters": {"loss": Meter()}},
        "last_optimizer_state": {"state": {0: {"exp_avg": torch.ones(3)}}},
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path
