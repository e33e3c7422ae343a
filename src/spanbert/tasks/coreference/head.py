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
from spanbert.tasks.coreference.mention_scorer import MentionScorer, best_spans
from spanbert.tasks.coreference.pair_scorer import PairScorer
from spanbert.training.contract import StepOutput
from spanbert.unpadded import few_sizes

_FIRST_COARSE = 1e-3
"""Spread of the bilinear form's first weights."""

_FIRST_MENTION = -3.0
"""First score of a mention: few spans are one."""


class _Document(NamedTuple):
    """One document of a batch: its T words, and what is said of it.

    Words, and below mentions, are computed in R >= T rows, R being one of few sizes, as `UnpaddedLayout` says.
    """

    first: Tensor  # [R, D] the state of each word's first piece, 0 behind the words
    last: Tensor  # [R, D] and of its last
    num_words: int  # T
    speakers: Tensor  # [T]
    finds: bool  # whether mentions are to be found
    given: Tensor  # [G, 2] otherwise
    num_slots: int  # M
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
        if document.finds:
            candidates = self.mentions(document.first, document.last, document.num_words)  # [T, W]
            spans = _in_few_sizes(best_spans(candidates.detach(), document.num_slots))
            scores = candidates[spans[:, 0], spans[:, 1] - spans[:, 0]]
        else:
            spans = _in_few_sizes(document.given)
            scores = self.mentions.score_spans(document.first, document.last, spans)
        num_mentions = document.num_slots
        vectors = self.mentions.represent(document.first, document.last, spans)  # [M, G]
        antecedents, antecedent_scores = self.pairs(vectors, scores, spans, document.speakers, document.genre)
        result = {
            "mentions": spans[:num_mentions],
            "mention_scores": scores[:num_mentions],
            "antecedents": antecedents[:num_mentions],
            "antecedent_scores": antecedent_scores[:num_mentions],
        }
        if training:
            width = self.mentions.max_width
            result["candidates"] = scores.new_full((document.num_words, width), float("-inf"))
            if candidates is not None:
                result["candidates"] = candidates
        return result

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Two losses; both are divided by the number of right mentions of a step.

        "links": the negative log of the probability of all right antecedents together (Lee et al. 2017, section 6), or
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


def _documents(states: Tensor, batch: TaskBatch) -> Iterator[_Document]:
    """The documents of a batch."""
    names = ("words", "given", "slots")
    rows = {
        name: np.bincount(batch.unit_of_window.cpu(), batch.rows[name], batch.num_units).astype(int) for name in names
    }
    ends = {name: np.cumsum(number) for name, number in rows.items()}
    finds = batch.values["finds"].tolist()
    for unit in range(batch.num_units):
        words, given = (slice(ends[name][unit] - rows[name][unit], ends[name][unit]) for name in ("words", "given"))
        num_words = int(words.stop - words.start)
        first, last = F.pad(states[words], (0, 0, 0, few_sizes(num_words) - num_words)).chunk(2, 1)
        yield _Document(
            first=first,
            last=last,
            num_words=num_words,
            speakers=batch.values["speakers"][words],
            finds=bool(finds[unit]),
            given=batch.values["given"][given],
            num_slots=int(rows["slots"][unit]),
            genre=batch.values["genre"][unit : unit + 1],
        )


def _in_few_sizes(spans: Tensor) -> Tensor:
    """[M, 2] -> [R, 2]: the last of them repeated behind them, where none of the others looks for antecedents."""
    return torch.cat((spans, spans[-1:].expand(few_sizes(len(spans)) - len(spans), 2)))


def _units(batch: TaskBatch, name: str) -> Tensor:
    """[n] the document that each row of an array belongs to."""
    return torch.from_numpy(np.repeat(batch.unit_of_window.cpu().numpy(), batch.rows[name]))


def _offsets(batch: TaskBatch, name: str, *, of: str | None = None) -> Tensor:
    """[n] for each row of the array `of` (or of `name` itself), how many rows of `name` other documents have before."""
    number = np.bincount(batch.unit_of_window.cpu(), batch.rows[name], batch.num_units).astype(int)
    return torch.from_numpy(np.cumsum(number) - number)[_units(batch, of or name)]
