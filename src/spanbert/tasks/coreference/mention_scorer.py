"""Spans as vectors, and how likely each is a mention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanbert.dropout import Dropout

FEATURE_WIDTH = 20
"""Width of the embeddings of span widths, distances, speakers and genres (Lee et al. 2017, section 7.1)."""

_WORDS_AT_ONCE = 128
"""Words whose spans are scored at once: bounds the memory that long documents need, and stays near a CPU's caches."""


class MentionScorer(nn.Module):
    """Span representations and mention scores (Lee et al. 2017, section 4): boundaries, a soft head, and the width.

    The first layer of the network is linear in the parts of a representation, so it is applied to words, not to spans:
    the same figures for a fraction of the work.

    Attributes:
        max_width: W, words of the widest span.
        span_width: G, width of a representation.
    """

    def __init__(self, width: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        hidden = int(settings["hidden_size"])
        self.max_width = int(settings["max_span_width"])
        self.span_width = 3 * width + FEATURE_WIDTH
        self.head_attention = nn.Linear(width, 1)
        self.width_embeddings = nn.Embedding(self.max_width, FEATURE_WIDTH)
        self.from_start = nn.Linear(width, hidden)
        self.from_end = nn.Linear(width, hidden, bias=False)
        self.from_head = nn.Linear(width, hidden, bias=False)
        self.from_width = nn.Linear(FEATURE_WIDTH, hidden, bias=False)
        self.dropout = Dropout(settings["head_dropout"])
        self.output = nn.Linear(hidden, 1)

    def forward(self, first: Tensor, last: Tensor, num_words: int) -> Tensor:
        """Scores of all spans of up to W words.

        Args:
            first, last: [R, D] states of the words' first and last pieces, in rows behind the words anything.
            num_words: T.

        Returns:
            [T, W] by first word and width - 1; -inf where the text ends before.
        """
        num_rows, most = len(first), self.max_width
        attention = F.pad(self.head_attention(first).squeeze(1), (0, most))  # [R + W]
        starts = self.from_start(first)
        ends = F.pad(self.from_end(last), (0, 0, 0, most))
        heads = F.pad(self.from_head(first), (0, 0, 0, most))
        widths = self.from_width(self.width_embeddings.weight)  # [W, H]
        offsets = torch.arange(most, device=first.device)
        is_later = torch.ones(most, most, dtype=torch.bool, device=first.device).triu(1)
        parts = []
        for begin in range(0, num_rows, _WORDS_AT_ONCE):
            end = min(begin + _WORDS_AT_ONCE, num_rows)
            reach = slice(begin, end + most - 1)
            # Of every first word, the next W words; row w of the weights is the span of w + 1 words.
            shares = attention[reach].unfold(0, most, 1)[:, None, :].masked_fill(is_later, float("-inf")).softmax(-1)
            # Gathering by F.embedding has a far cheaper backward pass than by unfold or an index.
            following = torch.arange(end - begin, device=first.device)[:, None] + offsets  # [t, W]
            hidden = torch.baddbmm(
                F.embedding(following, ends[reach]).add_(starts[begin:end, None]),
                shares,
                F.embedding(following, heads[reach]),
            )
            hidden = hidden.add_(widths).relu_()  # in place: passes over memory cost more than the products
            parts.append(self.output(self.dropout(hidden)).squeeze(-1).float())
        scores = torch.cat(parts)[:num_words] if parts else first.new_zeros(0, most)
        place = torch.arange(num_words, device=first.device)[:, None] + offsets
        return scores.masked_fill(place >= num_words, float("-inf"))

    def represent(self, first: Tensor, last: Tensor, spans: Tensor) -> Tensor:
        """[S, 2] first and last words -> [S, G] the spans' representations."""
        start, end = spans.unbind(1)
        width = (end - start).clamp(max=self.max_width - 1)  # a given span may be wider
        return torch.cat((first[start], last[end], self._heads(first, spans), self.width_embeddings(width)), 1)

    def score_spans(self, first: Tensor, last: Tensor, spans: Tensor) -> Tensor:
        """[S, 2] first and last words -> [S] mention scores, for spans of any width."""
        start, end, head, width = self.represent(first, last, spans).split([first.shape[1]] * 3 + [FEATURE_WIDTH], 1)
        hidden = self.from_start(start) + self.from_end(end) + self.from_head(head) + self.from_width(width)
        scores: Tensor = self.output(self.dropout(F.relu(hidden))).squeeze(1).float()
        return scores

    def _heads(self, first: Tensor, spans: Tensor) -> Tensor:
        """[S, 2] -> [S, D] the mean of each span's words, weighted by a softmax over it."""
        widths = spans[:, 1] - spans[:, 0] + 1
        offsets = widths.cumsum(0) - widths
        span = torch.repeat_interleave(widths)  # [n] of each word of each span
        words = torch.arange(len(span), device=spans.device) - offsets[span] + spans[span, 0]
        attention = self.head_attention(first).float().squeeze(1)[words]
        highest = attention.new_full((len(spans),), float("-inf")).scatter_reduce(0, span, attention.detach(), "amax")
        powers = (attention - highest[span]).exp()
        shares = powers / powers.new_zeros(len(spans)).index_add(0, span, powers)[span]
        heads: Tensor = F.embedding_bag(words, first, offsets, mode="sum", per_sample_weights=shares)
        return heads


def best_spans(candidates: Tensor, number: int) -> Tensor:
    """[T, W] scores by first word and width -> [number, 2] first and last words of the best.

    They are in order of the text; of those that begin together the widest comes first.
    """
    width = candidates.shape[1]
    best = candidates.flip(1).flatten().topk(number).indices.sort().values
    start = best.div(width, rounding_mode="floor")
    return torch.stack((start, start + width - 1 - best % width), 1)
