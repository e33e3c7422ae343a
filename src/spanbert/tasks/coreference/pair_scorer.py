"""Which mentions before a mention may be the same thing: a coarse choice, then a detailed comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanbert.dropout import Dropout
from spanbert.tasks.coreference.mention_scorer import FEATURE_WIDTH

_DISTANCES = (1, 2, 3, 4, 5, 8, 16, 32, 64)
"""Where the buckets of distances begin, in kept mentions (Lee et al. 2017, section 7.1)."""

_MENTIONS_AT_ONCE = 64
"""Mentions whose antecedents are scored at once: bounds memory, as `_WORDS_AT_ONCE` does for words."""


class _Parts(NamedTuple):
    """Of the M mentions of a document: [M, G] representations, [M, H] what each gives to the network as the mention and
    as the antecedent, [M] mention scores."""

    vectors: Tensor
    of_mention: Tensor
    of_antecedent: Tensor
    scores: Tensor


class PairScorer(nn.Module):
    """Scores of mentions and their antecedents: a bilinear form chooses K for each mention, a network compares them
    (Lee et al. 2018, section 4)."""

    def __init__(self, span_width: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        hidden = int(settings["hidden_size"])
        self.max_antecedents = int(settings["max_antecedents"])
        self.max_distance = int(settings["max_antecedent_distance"])
        self.coarse = nn.Linear(span_width, span_width, bias=False)
        self.from_mention = nn.Linear(span_width, hidden)
        self.from_antecedent = nn.Linear(span_width, hidden, bias=False)
        self.from_product = nn.Linear(span_width, hidden, bias=False)
        self.distances = nn.Embedding(len(_DISTANCES) + 1, FEATURE_WIDTH)
        self.genres = nn.Embedding(len(settings["genres"]) + 1, FEATURE_WIDTH) if settings["genres"] else None
        self.speakers = nn.Embedding(3, FEATURE_WIDTH) if settings["has_speakers"] else None
        num_features = 1 + (self.genres is not None) + (self.speakers is not None)
        self.from_features = nn.Linear(num_features * FEATURE_WIDTH, hidden, bias=False)
        self.dropout = Dropout(settings["head_dropout"])
        self.output = nn.Linear(hidden, 1)

    def forward(
        self, vectors: Tensor, scores: Tensor, spans: Tensor, speakers: Tensor, genre: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare mentions with those before them. Rows behind the last mention, which only make sizes few, may hold
        anything: no mention looks for antecedents behind itself.

        Args:
            vectors: [M, G] representations, in order of the text.
            scores: [M] mention scores.
            spans: [M, 2] first and last words.
            speakers: [T] of each word of the document, 0 where not known.
            genre: [1] number of the document's genre.

        Returns:
            [M, K] places of antecedents, -1 where there is none; and [M, 1 + K] scores, "no antecedent" first.
        """
        most = max(1, min(self.max_antecedents, len(spans) - 1))
        projected = self.coarse(vectors)
        of_mention = self.from_mention(vectors)  # in bf16 where autocast is on
        parts = _Parts(vectors.to(of_mention.dtype), of_mention, self.from_antecedent(vectors), scores)
        starts = spans[:, 0].contiguous()
        speaker_of_span = speakers[starts]
        antecedents, antecedent_scores = [], []
        for begin in range(0, len(spans), _MENTIONS_AT_ONCE):
            rows = torch.arange(begin, min(begin + _MENTIONS_AT_ONCE, len(spans)), device=spans.device)
            places, coarse = self._choose(projected, parts, starts, rows, most)
            pair_features = self._features(rows, places, speaker_of_span, genre)
            fine = self._compare(parts, rows, places, pair_features)
            is_there = coarse > float("-inf")
            antecedents.append(places.masked_fill(~is_there, -1))
            together = (coarse + fine).masked_fill(~is_there, float("-inf"))
            antecedent_scores.append(F.pad(together, (1, 0)))
        missing = (0, self.max_antecedents - most)  # so that documents of any length can stand in one batch
        if not antecedents:
            antecedents, antecedent_scores = [spans.new_zeros(0, most)], [scores.new_zeros(0, 1 + most)]
        return (
            F.pad(torch.cat(antecedents), missing, value=-1),
            F.pad(torch.cat(antecedent_scores), missing, value=float("-inf")),
        )

    def _choose(
        self, projected: Tensor, parts: _Parts, starts: Tensor, rows: Tensor, most: int
    ) -> tuple[Tensor, Tensor]:
        """The best antecedents of some mentions by the coarse score: [m, K] places and scores, -inf for none."""
        first, end = int(rows[0]), int(rows[-1]) + 1
        lowest = 0
        if self.max_distance:
            lowest = int(torch.searchsorted(starts, starts[first] - self.max_distance))
            lowest -= lowest % _MENTIONS_AT_ONCE  # few sizes of the product, as `UnpaddedLayout` says
        columns = torch.arange(lowest, end, device=rows.device)
        coarse = (projected[first:end] @ parts.vectors[lowest:end].T).float()
        coarse = coarse + parts.scores[first:end, None] + parts.scores[None, lowest:end]
        allowed = columns < rows[:, None]
        if self.max_distance:
            allowed &= starts[rows][:, None] - starts[columns] <= self.max_distance
        coarse = coarse.masked_fill(~allowed, float("-inf"))
        if coarse.shape[1] < most:
            coarse = F.pad(coarse, (0, most - coarse.shape[1]), value=float("-inf"))
        places = coarse.topk(most, 1).indices.sort(1).values
        return (places + lowest).clamp(max=end - 1), coarse.gather(1, places)

    def _features(self, rows: Tensor, places: Tensor, speaker: Tensor, genre: Tensor) -> Tensor:
        """[m, K, features] what is known of pairs beside the mentions' representations."""
        edges = torch.tensor(_DISTANCES, device=rows.device)
        features = [self.distances(torch.bucketize(rows[:, None] - places, edges, right=True))]
        if self.speakers is not None:
            mine, other = speaker[rows][:, None], speaker[places]
            features.append(self.speakers(torch.where((mine == 0) | (other == 0), 0, 1 + (mine == other).long())))
        if self.genres is not None:
            features.append(self.genres(genre).expand(*places.shape, -1))
        return torch.cat(features, -1)

    def _compare(self, parts: _Parts, rows: Tensor, places: Tensor, features: Tensor) -> Tensor:
        """[m, K] the detailed scores. As in `MentionScorer`, what depends on one mention alone is computed once."""
        # Gathering by F.embedding has a far cheaper backward pass than by an index.
        product = parts.vectors[rows][:, None] * F.embedding(places, parts.vectors)
        hidden = self.from_product(product).add_(self.from_features(features))
        hidden = hidden.add_(parts.of_mention[rows][:, None]).add_(F.embedding(places, parts.of_antecedent)).relu_()
        scores: Tensor = self.output(self.dropout(hidden)).squeeze(-1)
        return scores.float()
