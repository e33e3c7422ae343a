"""A tiny model that knows a handful of sentences by heart, trained in a few seconds."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F

from spanbert.spans import Span
from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining, initial_config
from spanbert.tokenization import PieceTokenizer
from spanbert.tokenizer_files import SPECIAL_PIECES, bert_tokenizer
from spanbert.unpadded import UnpaddedLayout

SENTENCES = (
    "The capital of France is Paris.",
    "The capital of New Zealand is Wellington.",
    "Two plums and one pear are undoable.",
    "The old man sat by the sea.",
    "北京是中国的首都。",
)

_PIECES = """
The capital of France is Paris New Zealand Well ##ing ##ton Two plum ##s and one pear are un ##do ##able do able
old man sat by the sea 北 京 是 中 国 的 首 都 。 . , s
"""

MAX_POSITIONS = 24
SBO_POSITIONS = 4


def tiny_tokenizer() -> PieceTokenizer:
    vocabulary = {piece: number for number, piece in enumerate((*SPECIAL_PIECES, *_PIECES.split()))}
    return PieceTokenizer(bert_tokenizer(vocabulary, lowercase=False))


def untrained_model(sbo_positions: int = SBO_POSITIONS, extra_rows: int = 0) -> SpanBertForPreTraining:
    torch.manual_seed(0)
    config = initial_config(
        PretrainingSettings(sbo_positions=sbo_positions),
        vocab_size=tiny_tokenizer().vocab_size + extra_rows,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MAX_POSITIONS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # Larger than BERT's 0.02, so that what an untrained model predicts depends on its input.
        initializer_range=0.2,
    )
    return SpanBertForPreTraining(config)


@cache
def trained_model() -> SpanBertForPreTraining:
    """Trained on every span of up to three pieces of every sentence."""
    tokenizer, model = tiny_tokenizer(), untrained_model()
    examples = [
        (ids, Span(start, start + length))
        for ids in map(_with_special_pieces, SENTENCES)
        for length in (1, 2, 3)
        for start in range(1, len(ids) - length)
    ]
    layout = UnpaddedLayout.from_lengths(torch.tensor([len(ids) for ids, _ in examples]))
    starts = [int(start) for start in layout.starts]
    pieces = torch.tensor([piece for ids, _ in examples for piece in ids])
    masked = torch.tensor([begin + i for begin, (_, span) in zip(starts, examples, strict=True) for i in range(*span)])
    span_of_masked = torch.tensor([n for n, (_, span) in enumerate(examples) for _ in range(*span)])
    offsets = torch.tensor([i - span.start for _, span in examples for i in range(*span)])
    left = layout.starts + torch.tensor([span.start - 1 for _, span in examples])
    right = layout.starts + torch.tensor([span.end for _, span in examples])
    labels = pieces[masked]
    pieces[masked] = tokenizer.mask_id
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other make so small a model crawl
    for _ in range(80):
        hidden = model.bert.encode(pieces, layout)
        loss = F.cross_entropy(model.masked_piece_logits(hidden, masked), labels)
        loss = loss + F.cross_entropy(model.span_boundary_logits(hidden, left, right, span_of_masked, offsets), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(num_threads)
    return model.eval()


def _with_special_pieces(sentence: str) -> list[int]:
    tokenizer = tiny_tokenizer()
    ids = tokenizer.encode(sentence).ids.tolist()
    assert tokenizer.unk_id not in ids
    return [tokenizer.cls_id, *ids, tokenizer.sep_id]
