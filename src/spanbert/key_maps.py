"""Tensor names: ours, Hugging Face's of all times, and those of the original release; one table, read both ways.

Ours are Hugging Face's of today, plus `cls.sbo.*`. Each table below is a list of (their pattern, our pattern), with at
most one `*` a side. A name takes the first row that fits and goes through unchanged where none does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Rows = tuple[tuple[str, str], ...]

GAMMA_BETA: Rows = (
    ("*LayerNorm.gamma", "*LayerNorm.weight"),
    ("*LayerNorm.beta", "*LayerNorm.bias"),
)
"""Files of 2018 and 2019 have TensorFlow's names for layer normalisation."""

BARE_ENCODER: Rows = (
    ("embeddings.*", "bert.embeddings.*"),
    ("encoder.*", "bert.encoder.*"),
    ("pooler.*", "bert.pooler.*"),
)
"""A saved `BertModel` has no prefix."""

_SBO = "cls.pair_target_predictions"

ORIGINAL_SBO: Rows = (
    (f"{_SBO}.mlp_layer_norm.layer_norm1.gamma", "cls.sbo.layer_norm1.weight"),
    (f"{_SBO}.mlp_layer_norm.layer_norm1.beta", "cls.sbo.layer_norm1.bias"),
    (f"{_SBO}.mlp_layer_norm.layer_norm2.gamma", "cls.sbo.layer_norm2.weight"),
    (f"{_SBO}.mlp_layer_norm.layer_norm2.beta", "cls.sbo.layer_norm2.bias"),
    (f"{_SBO}.mlp_layer_norm.linear1.*", "cls.sbo.linear1.*"),
    (f"{_SBO}.mlp_layer_norm.linear2.*", "cls.sbo.linear2.*"),
    (f"{_SBO}.*", "cls.sbo.*"),
)
"""The span boundary head of the original release's training checkpoints."""

DECODER_PREFIX: Rows = (("decoder.*", "*"),)
"""What the original release's training program puts before every name."""

TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
    "cls.sbo.decoder.weight": "bert.embeddings.word_embeddings.weight",
}
"""Tensors that files may hold twice -> the one of ours that both are."""


@dataclass(frozen=True)
class KeyMap:
    """Between the names of one kind of file and ours.

    Attributes:
        title: what kind of file it is, for people.
        steps: tables, applied one after the other from their names to ours, and backwards from ours to theirs.
    """

    title: str
    steps: tuple[Rows, ...]

    def to_ours(self, name: str) -> str:
        """Our name of a tensor."""
        for rows in self.steps:
            name = _rename(name, rows)
        return name

    def to_theirs(self, name: str) -> str:
        """Their name of a tensor."""
        for rows in reversed(self.steps):
            name = _rename(name, tuple((ours, theirs) for theirs, ours in rows))
        return name


HUGGING_FACE = KeyMap("BERT", ())
HUGGING_FACE_2019 = KeyMap("BERT with names of 2019", (GAMMA_BETA,))
ENCODER = KeyMap("BERT encoder", (BARE_ENCODER,))
ENCODER_2019 = KeyMap("BERT encoder with names of 2019", (GAMMA_BETA, BARE_ENCODER))
ORIGINAL = KeyMap("training checkpoint of the original release", (DECODER_PREFIX, ORIGINAL_SBO, GAMMA_BETA))


def key_map_of(names: Iterable[str]) -> KeyMap:
    """Tell the kind of a file by the names of its tensors."""
    names = list(names)
    if any(name.startswith("decoder.bert.") for name in names):
        return ORIGINAL
    is_2019 = any(name.endswith("LayerNorm.gamma") for name in names)
    if any(name.startswith("bert.") for name in names):
        return HUGGING_FACE_2019 if is_2019 else HUGGING_FACE
    return ENCODER_2019 if is_2019 else ENCODER


def _rename(name: str, rows: Rows) -> str:
    for pattern, replacement in rows:
        head, star, tail = pattern.partition("*")
        if not star and name == head:
            return replacement
        if star and len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            return replacement.replace("*", name[len(head) : len(name) - len(tail)])
    return name
