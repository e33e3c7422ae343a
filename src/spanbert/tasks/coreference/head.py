"""The coreference model: mentions scored from their spans, antecedents chosen coarsely, then compared in detail.

End-to-end coreference (Lee et al. 2017), coarse-to-fine (Lee et al. 2018) on an encoder that reads a document in
independent windows (Joshi et al. 2019), without higher-order inference, which was found to add nothing (Xu & Choi
2020). The spans are spans of words; a word is its first piece and, at a span's end, its last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization

from spanbert.batching import TaskBatch
from spanbert.dropout import Dropout
from spanbert.encoder import SpanBertConfig
from spanbert.task_model import TaskModel
from spanbert.training.contract import StepOutput

_FEATURE_WIDTH = 20
"""Width of the embeddings of span widths, distances, speakers and genres (Lee et al. 2017, section 5.1)."""

_DISTANCES = (1, 2, 3, 4, 5, 8, 16, 32, 64)
"""Where the buckets of distances begin, in kept mentions (Lee et al. 2017, section 5.1)."""

_FIRST_COARSE = 1e-3
"""Spread of the bilinear form's first weights."""

_FIRST_MENTION = -3.0
"""First score of a mention: few spans are one."""

_WORDS_AT_ONCE = 128
"""Words whose spans are scored at once: bounds the memory that long documents need, and stays near a CPU's caches."""

_MENTIONS_AT_ONCE = 64
"""Mentions whose antecedents are scored at once; the same."""


class _Document(NamedTuple):
    """One document of a batch: its T words, and what is said of it."""

    first: Tensor  # [T, D] the state of each word's first piece
    last: Tensor  # [T, D] and of its last
    speakers: Tensor  # [T]
    given: Tensor  # [G, 2]
    num_slots: int
    genre: Tensor  # [1]


class SpanBertForCoreference(TaskModel):
    """Scores the spans of a document as mentions, keeps the best, and scores for each its possible antecedents.

    Example:
        >>> scores = model.score(model.reduce(model.encode(batch), batch), batch)
        >>> scores["antecedent_scores"].shape  # [M, 1 + K]; the first column is "no antecedent" and always 0
    """

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        settings: Mapping[str, Any] = (config.spanbert or {})["settings"]
        self.dropout = Dropout(settings["head_dropout"])
        self.mentions = MentionScorer(config.hidden_size, settings)
        self.pairs = PairScorer(self.mentions.span_width, settings)
        self.max_antecedents = int(settings["max_antecedents"])
        self.post_init()  # type: ignore[no-untyped-call]

    def reduce(self, states: Tensor, batch: TaskBatch) -> Tensor:
        """[N, D] states of pieces -> [T, 2 D], of each word its first and its last piece."""
        first, last = batch.positions["words"].unbind(1)
        return torch.cat((states.index_select(0, first), states.index_select(0, last)), 1)

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[T, 2 D] states of words -> scores of the M mentions that are kept, document after document.

        Returns:
            "mentions": [M, 2] first and last word of each, in order of the text, counted within its document.
            "mention_scores": [M].
            "antecedents": [M, K] places among the document's kept mentions, -1 where there is none.
            "antecedent_scores": [M, 1 + K], the first column is "no antecedent" and always 0.
            "candidates": [T, W], only in training: the mention score of each span by first word and width.
        """
        states = self.dropout(states)
        found: dict[str, list[Tensor]] = {}
        for document in _documents(states, batch):
            for name, tensor in self._score_document(document, training="gold" in batch.values).items():
                found.setdefault(name, []).append(tensor)
        return {name: torch.cat(tensors) for name, tensors in found.items()}

    def score_in_fp32(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """`score` with scores in fp32; the large products of the networks stay in the precision of the run."""
        return self.score(states.float(), batch)

    def _score_document(self, document: _Document, *, training: bool) -> dict[str, Tensor]:
        candidates: Tensor | None = None
        if len(document.given):
            spans = document.given
            scores = self.mentions.score_spans(document.first, document.last, spans)
        else:
            candidates = self.mentions(document.first, document.last)  # [T, W]
            spans = _best_spans(candidates.detach(), document.num_slots)
            scores = candidates[spans[:, 0], spans[:, 1] - spans[:, 0]]
        vectors = self.mentions.represent(document.first, document.last, spans)  # [M, G]
        antecedents, antecedent_scores = self.pairs(vectors, scores, spans, document.speakers, document.genre)
        result = {
            "mentions": spans,
            "mention_scores": scores,
            "antecedents": antecedents,
            "antecedent_scores": antecedent_scores,
        }
        if training:
            width = self.mentions.max_width
            result["candidates"] = scores.new_full((len(document.first), width), float("-inf"))
            if candidates is not None:
                result["candidates"] = candidates
        return result

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Two losses.

        "links": the negative log of the probability of all right antecedents together (Lee et al. 2017, section 3), or
        of "no antecedent" where none is among those compared; summed over kept mentions.

        "mentions": the binary cross-entropy of all spans as mentions, summed; targets are the right mentions. Where the
        data does not mark singletons, these are the mentions that have a link; without this loss, most first mentions
        of a training that begins have no right antecedent among them, and all learn to have none.
        """
        cluster = self._gold_clusters(scores, batch)  # [M], -1 for what is no mention
        antecedents = scores["antecedents"]
        offsets = _offsets(batch, "slots").to(antecedents.device)  # of each mention's document among all mentions
        linked = cluster[(antecedents + offsets[:, None]).clamp(min=0)] if len(cluster) else antecedents
        right = (linked == cluster[:, None]) & (antecedents >= 0) & (cluster >= 0)[:, None]  # [M, K]
        right = torch.cat((~right.any(1, keepdim=True), right), 1)
        logits = scores["antecedent_scores"]
        links = (logits.logsumexp(1) - logits.masked_fill(~right, float("-inf")).logsumexp(1)).sum()
        return StepOutput({"links": links, "mentions": self._mention_loss(scores["candidates"], batch)}, {})

    def _gold_clusters(self, scores: dict[str, Tensor], batch: TaskBatch) -> Tensor:
        """[M] the number of each kept mention's right cluster, -1 where it has none."""
        # A span of a document as one number.
        most = int(scores["candidates"].shape[0]) + 1
        unit = _units(batch, "slots").to(scores["mentions"].device)
        keys = (unit * most + scores["mentions"][:, 0]) * most + scores["mentions"][:, 1]
        gold = batch.values["gold"]
        if not len(gold):
            return torch.full_like(keys, -1)
        gold_keys = (_units(batch, "gold").to(gold.device) * most + gold[:, 0]) * most + gold[:, 1]
        gold_keys, order = gold_keys.sort()
        places = torch.searchsorted(gold_keys, keys).clamp(max=len(gold_keys) - 1)
        return torch.where(gold_keys[places] == keys, gold[order[places], 2], -1)

    def _mention_loss(self, candidates: Tensor, batch: TaskBatch) -> Tensor:
        gold = batch.values["gold"]
        words = _offsets(batch, "words", of="gold").to(gold.device)
        width = gold[:, 1] - gold[:, 0]
        inside = width < candidates.shape[1]  # given mentions may be wider
        targets = torch.zeros_like(candidates)
        targets[words[inside] + gold[inside, 0], width[inside]] = 1
        is_span = candidates > float("-inf")
        return F.binary_cross_entropy_with_logits(candidates[is_span], targets[is_span], reduction="sum")

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, nn.Linear) and any(
            module is own for own in (*self.mentions.modules(), *self.pairs.modules())
        ):
            initialization.normal_(module.weight, std=module.in_features**-0.5)
        if module is self.pairs.coarse:  # a product of two long vectors: at first, mentions alone decide
            initialization.normal_(module.weight, std=_FIRST_COARSE)
        if module is self.mentions.output:
            initialization.constant_(module.bias, _FIRST_MENTION)


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
        self.span_width = 3 * width + _FEATURE_WIDTH
        self.head_attention = nn.Linear(width, 1)
        self.width_embeddings = nn.Embedding(self.max_width, _FEATURE_WIDTH)
        self.from_start = nn.Linear(width, hidden)
        self.from_end = nn.Linear(width, hidden, bias=False)
        self.from_head = nn.Linear(width, hidden, bias=False)
        self.from_width = nn.Linear(_FEATURE_WIDTH, hidden, bias=False)
        self.dropout = Dropout(settings["head_dropout"])
        self.output = nn.Linear(hidden, 1)

    def forward(self, first: Tensor, last: Tensor) -> Tensor:
        """Scores of all spans of up to W words.

        Args:
            first, last: [T, D] states of the words' first and last pieces.

        Returns:
            [T, W] by first word and width - 1; -inf where the text ends before.
        """
        num_words, most = len(first), self.max_width
        attention = F.pad(self.head_attention(first).squeeze(1), (0, most))  # [T + W]
        starts = self.from_start(first)
        ends = F.pad(self.from_end(last), (0, 0, 0, most))
        heads = F.pad(self.from_head(first), (0, 0, 0, most))
        widths = self.from_width(self.width_embeddings.weight)  # [W, H]
        is_later = torch.ones(most, most, dtype=torch.bool, device=first.device).triu(1)
        parts = []
        for begin in range(0, num_words, _WORDS_AT_ONCE):
            end = min(begin + _WORDS_AT_ONCE, num_words)
            reach = slice(begin, end + most - 1)
            # Of every first word, the next W words; row w of the weights is the span of w + 1 words.
            shares = attention[reach].unfold(0, most, 1)[:, None, :].masked_fill(is_later, float("-inf")).softmax(-1)
            hidden = torch.baddbmm(
                ends[reach].unfold(0, most, 1).transpose(1, 2) + starts[begin:end, None],
                shares,
                heads[reach].unfold(0, most, 1).transpose(1, 2),
            )
            hidden = hidden.add_(widths).relu_()  # in place: passes over memory cost more than the products
            parts.append(self.output(self.dropout(hidden)).squeeze(-1).float())
        scores = torch.cat(parts) if parts else first.new_zeros(0, most)
        place = torch.arange(num_words, device=first.device)[:, None] + torch.arange(most, device=first.device)
        return scores.masked_fill(place >= num_words, float("-inf"))

    def represent(self, first: Tensor, last: Tensor, spans: Tensor) -> Tensor:
        """[S, 2] first and last words -> [S, G] the spans' representations."""
        start, end = spans.unbind(1)
        width = (end - start).clamp(max=self.max_width - 1)  # a given span may be wider
        return torch.cat((first[start], last[end], self._heads(first, spans), self.width_embeddings(width)), 1)

    def score_spans(self, first: Tensor, last: Tensor, spans: Tensor) -> Tensor:
        """[S, 2] first and last words -> [S] mention scores, for spans of any width."""
        start, end, head, width = self.represent(first, last, spans).split([first.shape[1]] * 3 + [_FEATURE_WIDTH], 1)
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
        self.distances = nn.Embedding(len(_DISTANCES) + 1, _FEATURE_WIDTH)
        self.genres = nn.Embedding(len(settings["genres"]) + 1, _FEATURE_WIDTH) if settings["genres"] else None
        self.speakers = nn.Embedding(3, _FEATURE_WIDTH) if settings["has_speakers"] else None
        num_features = 1 + (self.genres is not None) + (self.speakers is not None)
        self.from_features = nn.Linear(num_features * _FEATURE_WIDTH, hidden, bias=False)
        self.dropout = Dropout(settings["head_dropout"])
        self.output = nn.Linear(hidden, 1)

    def forward(
        self, vectors: Tensor, scores: Tensor, spans: Tensor, speakers: Tensor, genre: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare mentions with those before them.

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


class _Parts(NamedTuple):
    """Of the M mentions of a document: [M, G] representations, [M, H] what each gives to the network as the mention and
    as the antecedent, [M] mention scores."""

    vectors: Tensor
    of_mention: Tensor
    of_antecedent: Tensor
    scores: Tensor


def _best_spans(candidates: Tensor, number: int) -> Tensor:
    """[T, W] scores by first word and width -> [number, 2] first and last words of the best.

    They are in order of the text; of those that begin together the widest comes first.
    """
    width = candidates.shape[1]
    best = candidates.flip(1).flatten().topk(number).indices.sort().values
    start = best.div(width, rounding_mode="floor")
    return torch.stack((start, start + width - 1 - best % width), 1)


def _documents(states: Tensor, batch: TaskBatch) -> Iterator[_Document]:
    """The documents of a batch."""
    names = ("words", "given", "slots")
    rows = {
        name: np.bincount(batch.unit_of_window.cpu(), batch.rows[name], batch.num_units).astype(int) for name in names
    }
    ends = {name: np.cumsum(number) for name, number in rows.items()}
    for unit in range(batch.num_units):
        words, given = (slice(ends[name][unit] - rows[name][unit], ends[name][unit]) for name in ("words", "given"))
        first, last = states[words].chunk(2, 1)
        yield _Document(
            first=first,
            last=last,
            speakers=batch.values["speakers"][words],
            given=batch.values["given"][given],
            num_slots=int(rows["slots"][unit]),
            genre=batch.values["genre"][unit : unit + 1],
        )


def _units(batch: TaskBatch, name: str) -> Tensor:
    """[n] the document that each row of an array belongs to."""
    return torch.from_numpy(np.repeat(batch.unit_of_window.cpu().numpy(), batch.rows[name]))


def _offsets(batch: TaskBatch, name: str, *, of: str | None = None) -> Tensor:
    """[n] for each row of the array `of` (or of `name` itself), how many rows of `name` other documents have before."""
    number = np.bincount(batch.unit_of_window.cpu(), batch.rows[name], batch.num_units).astype(int)
    return torch.from_numpy(np.cumsum(number) - number)[_units(batch, of or name)]
