"""Special pieces of a task, such as markers of entities, in a model's tokenizer and in its embeddings."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from spanbert.task_model import TaskModel
from spanbert.tokenization import PieceTokenizer


def add_special_pieces(model: TaskModel, tokenizer: PieceTokenizer, pieces: Mapping[str, str]) -> int:
    """Add special pieces to a tokenizer and to its model; both are changed.

    Args:
        model: gets a row of piece embeddings for each; what was there does not change.
        tokenizer: the model's.
        pieces: every piece with words (`Task.extra_pieces`): its embedding begins as the mean of their pieces'.

    Returns:
        How many are new; those that the tokenizer has already stay as they are.
    """
    num_before = tokenizer.vocab_size
    num_new = tokenizer.add_special(pieces)
    if not num_new:
        return 0
    embeddings = model.bert.embeddings.word_embeddings
    words = [pieces[tokenizer.piece(number)] for number in range(num_before, tokenizer.vocab_size)]
    with torch.no_grad():
        means = [
            embeddings.weight[torch.from_numpy(encoding.ids).long()].mean(0)
            if len(encoding)
            else embeddings.weight[:num_before].mean(0)
            for encoding in tokenizer.encode_batch(words)
        ]
        # Rows beyond the old vocabulary only filled up the matrix; they are replaced.
        kept = embeddings.weight[:num_before], torch.stack(means), embeddings.weight[tokenizer.vocab_size :]
        embeddings.weight = nn.Parameter(torch.cat(kept).detach().clone())
    model.config.vocab_size = embeddings.num_embeddings = len(embeddings.weight)
    return num_new
