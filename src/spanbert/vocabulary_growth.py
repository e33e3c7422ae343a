"""Growing a model's vocabulary: words of a field that were several pieces become one."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spanbert.errors import CorpusError
from spanbert.tasks.pretraining.head import SpanBertForPreTraining
from spanbert.tokenization import PieceTokenizer


def add_domain_words(model: SpanBertForPreTraining, tokenizer: PieceTokenizer, words: Iterable[str]) -> int:
    """Make words whole pieces, in the tokenizer and in its model; see `extend_vocabulary`.

    Returns:
        How many of them are new.

    Example:
        >>> add_domain_words(model, tokenizer, ["angioplasty", "stent"])
        2
    """
    old = copy.deepcopy(tokenizer)
    tokenizer.add_words(words)
    return extend_vocabulary(model, old, tokenizer, source="the tokenizer")


def extend_vocabulary(model: SpanBertForPreTraining, old: PieceTokenizer, new: PieceTokenizer, *, source: str) -> int:
    """Give a model the pieces that `PieceTokenizer.add_words` has added to its tokenizer.

    Everything that a new piece has (its embedding, its output biases) begins as the mean of what the pieces have into
    which the word fell before; so its logit begins as the mean of theirs. What was there does not change.

    Args:
        model: changed in place.
        old: the model's tokenizer.
        new: the same with words added.
        source: where `new` comes from, for the message of the error.

    Returns:
        How many pieces are new.

    Raises:
        CorpusError: `new` is another tokenizer, not this one with words added.
    """
    grown = copy.deepcopy(old)
    grown.add_words(new.piece(number) for number in range(old.vocab_size, new.vocab_size))
    if grown.fingerprint != new.fingerprint:
        raise CorpusError(
            f"{source} was made with another tokenizer than the model's, not with the same one and words added: "
            "prepare the text again with the model as --tokenizer"
        )
    words = [new.piece(number) for number in range(old.vocab_size, new.vocab_size)]
    if not words:
        return 0
    former = [encoding.ids.tolist() or [old.unk_id] for encoding in old.encode_batch(words)]

    def extended(values: Tensor) -> nn.Parameter:
        """[V, ...] -> [V + new words, ...]; rows beyond the old vocabulary, which only filled up, are replaced."""
        rows = torch.stack([values[pieces].mean(0) for pieces in former])
        return nn.Parameter(torch.cat([values[: old.vocab_size], rows, values[new.vocab_size :]]).detach().clone())

    embeddings, heads = model.bert.embeddings.word_embeddings, model.cls
    embeddings.weight = extended(embeddings.weight)
    heads.predictions.bias = extended(heads.predictions.bias)
    if heads.sbo is not None:
        heads.sbo.bias = extended(heads.sbo.bias)
    num_rows = len(embeddings.weight)
    model.config.vocab_size = embeddings.num_embeddings = heads.predictions.decoder.out_features = num_rows
    model.tie_weights()
    return len(words)
