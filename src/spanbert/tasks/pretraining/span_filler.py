"""Filling masked spans with ranked candidates, from the masked language model and the span boundary objective together.

For each masked piece the two heads are a product of experts: over the candidate pieces v,

    p(v) = p_mlm(v) p_sbo(v) / sum over w of p_mlm(w) p_sbo(w),

where p_mlm and p_sbo are each head's softmax over the candidate pieces: all but the special ones and [UNK]. Where there
is no p_sbo (a model without this head, a place in the span beyond its position table) p is p_mlm. The boundaries of the
SBO are the two pieces outside the whole span, [CLS] and [SEP] included (Joshi et al. 2019, section 3.2). Both heads
read the same context, so that p is sharper than either: it ranks, and is not calibrated.

A span of several pieces is filled from left to right by beam search: p of each piece is computed with the pieces before
it filled in and those after it still masked, and a candidate's probability is the product. Several spans of a text are
filled independently, each with all others masked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.spans import Span
from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining
from spanbert.tasks.pretraining.masked_text import (
    MaskedSpan,
    MaskedText,
    Replacement,
    joins_left,
    read_masked_text,
    replace_spans,
    window_around,
    write_pieces,
)
from spanbert.tokenization import PieceTokenizer
from spanbert.training.config import Device, Precision
from spanbert.training.devices import choose_device, resolve_precision
from spanbert.unpadded import UnpaddedLayout

MIN_BEAMS = 8
"""Beams are `top_k`, but at least so many: what comes first does not depend on how many were asked for."""

_BATCH_PIECES = 16_384  # pieces that go through the encoder at once, so that memory does not grow with top_k


@dataclass(frozen=True, slots=True)
class Candidate:
    """One filling of a span. Scores are natural logarithms of probabilities, summed over its pieces.

    Attributes:
        text: the candidate as it would be written ("Paris", "New York").
        joins_left: whether it belongs to the text before it without white space, because its first piece continues a
            word or is a closing punctuation mark.
        pieces: its word pieces.
        score: by both heads together, see the module's docstring; never above 0.
        mlm_score: by the masked language model alone.
        sbo_score: by the span boundary objective alone, over the pieces within its position table; None without one.
    """

    text: str
    joins_left: bool
    pieces: tuple[str, ...]
    score: float
    mlm_score: float
    sbo_score: float | None

    @property
    def probability(self) -> float:
        """The probability of this filling among all of as many pieces."""
        return math.exp(self.score)


@dataclass(frozen=True, slots=True)
class FilledSpan:
    """A run of [MASK]s and what may stand in its place.

    Attributes:
        start, end: the code points of the user's text that the [MASK]s cover, half-open.
        num_pieces: the number of [MASK]s.
        num_pieces_left_out: pieces of the text that were not read as context, because the text is longer than the
            model's window; the window is put around the span.
        candidates: best first.
    """

    start: int
    end: int
    num_pieces: int
    num_pieces_left_out: int
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class FilledText:
    """A text with its filled spans in order; `best` is the text with each span's first candidate put in."""

    text: str
    best: str
    spans: tuple[FilledSpan, ...]


class SpanFiller:
    """Fills the [MASK]s of a text. It can be shared by threads.

    Example:
        >>> filler = SpanFiller.load("my-model")
        >>> filled = filler.fill("The capital of [MASK] is Paris.")
        >>> filled.best
        'The capital of France is Paris.'
        >>> [(candidate.text, candidate.probability) for candidate in filled.spans[0].candidates]
    """

    def __init__(
        self, model: SpanBertForPreTraining, tokenizer: PieceTokenizer, *, precision: Precision = "auto"
    ) -> None:
        """Fill with a model (its weights in fp32), on the device where it is; it is put into evaluation mode.

        Raises:
            CheckpointError: the tokenizer has more pieces than the model.
            ConfigurationError: the device has no bf16 and it was asked for.
        """
        vocab_size = int(model.config.vocab_size)
        if tokenizer.vocab_size > vocab_size:
            raise CheckpointError(
                f"the tokenizer has {tokenizer.vocab_size} pieces and the model only {vocab_size}: they do not belong "
                "together"
            )
        self.model = model.eval()  # type: ignore[no-untyped-call]
        self.tokenizer = tokenizer
        self._device = model.bert.embeddings.word_embeddings.weight.device
        self._bf16 = resolve_precision(precision, self._device) == "bf16"
        settings = PretrainingSettings.of(model.config)
        self._sbo_positions = settings.sbo_positions
        self._num_positions = settings.trained_positions or int(model.config.max_position_embeddings)
        # [V]: rows of the embeddings without a piece of the tokenizer are no candidates either.
        candidates = torch.zeros(vocab_size, dtype=torch.bool)
        candidates[[number for number in range(tokenizer.vocab_size) if tokenizer.piece(number)]] = True
        candidates[list(tokenizer.special_ids)] = False
        continuing = candidates.clone()
        continuing[: tokenizer.vocab_size] &= torch.from_numpy(tokenizer.continues.copy())
        continuing[tokenizer.vocab_size :] = False
        self._candidates = candidates.to(self._device)
        self._continuing = continuing.to(self._device) if bool(continuing.any()) else self._candidates

    @classmethod
    def load(cls, name_or_folder: str | Path, *, device: Device = "auto", precision: Precision = "auto") -> Self:
        """Fill with the model and the tokenizer of a folder or a hub name.

        Raises:
            CheckpointError: there is no model with a masked language model, or no tokenizer.
            ConfigurationError: the device is not there, or has no bf16 and it was asked for.
        """
        from spanbert.checkpoints import load_pretraining_model, load_tokenizer

        tokenizer = load_tokenizer(name_or_folder)
        model, _ = load_pretraining_model(name_or_folder, require_heads=True)
        model.to(choose_device(device))  # type: ignore[arg-type]  # transformers hides the signature of Module.to
        return cls(model, tokenizer, precision=precision)

    def fill(self, text: str, *, top_k: int = 5) -> FilledText:
        """Rank candidates for every run of [MASK]s in a text.

        A run of neighbouring [MASK]s is one span of that many pieces. See `masked_text` for what white space around a
        [MASK] means, and the top of this module for the scores.

        Args:
            text: it has at least one [MASK].
            top_k: candidates of each span; fewer where there are not so many.

        Raises:
            InputError: there is no [MASK], or a span is longer than the model's window.
            ConfigurationError: `top_k` is below 1.
        """
        if top_k < 1:
            raise ConfigurationError(f"top_k must be at least 1, not {top_k}")
        masked = read_masked_text(text, self.tokenizer)
        window_size = self._num_positions - 2
        for span in masked.spans:
            if (num_pieces := span.pieces.end - span.pieces.start) > window_size:
                raise InputError(
                    f"the {num_pieces} [MASK]s from character {span.start} on are more than the {window_size} pieces "
                    "that the model can read at once: ask for fewer"
                )
        spans = tuple(self._fill_span(masked, span, window_size, top_k) for span in masked.spans)
        replacements = [
            Replacement(span.start, span.end, span.candidates[0].text, span.candidates[0].joins_left) for span in spans
        ]
        return FilledText(text, replace_spans(text, replacements), spans)

    def _fill_span(self, masked: MaskedText, span: MaskedSpan, window_size: int, top_k: int) -> FilledSpan:
        window = window_around(span.pieces, len(masked.ids), window_size)
        tokenizer = self.tokenizer
        ids = torch.tensor([tokenizer.cls_id, *masked.ids[window.start : window.end], tokenizer.sep_id])
        in_window = Span(span.pieces.start - window.start + 1, span.pieces.end - window.start + 1)
        first_candidates = self._continuing if span.continues_word else self._candidates
        beams = self._search(ids.to(self._device), in_window, first_candidates, top_k)
        return FilledSpan(
            start=span.start,
            end=span.end,
            num_pieces=span.pieces.end - span.pieces.start,
            num_pieces_left_out=len(masked.ids) - (window.end - window.start),
            candidates=self._candidates_of(beams),
        )

    def _candidates_of(self, beams: _Beams) -> tuple[Candidate, ...]:
        rows = zip(beams.pieces.tolist(), beams.scores.tolist(), strict=True)
        candidates = []
        for ids, (score, mlm_score, sbo_score) in rows:
            pieces = tuple(self.tokenizer.piece(number) for number in ids)
            candidates.append(
                Candidate(
                    text=write_pieces(pieces),
                    joins_left=joins_left(pieces[0]),
                    pieces=pieces,
                    score=score,
                    mlm_score=mlm_score,
                    sbo_score=sbo_score if self._sbo_positions else None,
                )
            )
        return tuple(candidates)

    @torch.inference_mode()
    def _search(self, ids: Tensor, span: Span, first_candidates: Tensor, top_k: int) -> _Beams:
        """Fill a span of a window.

        Args:
            ids: [T] the window with [CLS] and [SEP].
            span: positions in it.
            first_candidates: [V] true for what may be the first piece.
            top_k: at most so many beams are returned, best first.
        """
        num_pieces = span.end - span.start
        beams = _Beams(ids.new_empty((1, 0)), torch.zeros((1, 3), device=ids.device))
        for place in range(num_pieces):
            windows = ids.repeat(len(beams.pieces), 1)  # [K, T]
            windows[:, span.start : span.start + place] = beams.pieces
            candidates = first_candidates if place == 0 else self._candidates
            scores = torch.cat(
                [
                    self._piece_scores(chunk, span, place, candidates)
                    for chunk in windows.split(max(1, _BATCH_PIECES // len(ids)))
                ]
            )
            is_last = place == num_pieces - 1
            beams = beams.extended(scores, top_k if is_last else max(top_k, MIN_BEAMS))
        return beams

    def _piece_scores(self, windows: Tensor, span: Span, place: int, candidates: Tensor) -> Tensor:
        """Log-probabilities of all pieces at one place of a span.

        Args:
            windows: [K, T] equal but for the pieces of the span before `place`.
            span: positions in them.
            place: the place in the span, from 0.
            candidates: [V] true for the pieces that may stand there; the others get minus infinity.

        Returns:
            [K, V, 3]: by both heads, by the MLM alone, by the SBO alone (0 where there is none).
        """
        num_windows, length = windows.shape
        layout = UnpaddedLayout.from_lengths(torch.full((num_windows,), length)).to(windows.device)
        with torch.autocast(windows.device.type, dtype=torch.bfloat16, enabled=self._bf16):
            hidden = self.model.bert.encode(windows.flatten(), layout)  # [K T, D]
        # The heads see few rows: fp32 costs nothing, and bf16 logits would put many candidates on a par.
        hidden = hidden.float()
        mlm_logits = self.model.masked_piece_logits(hidden, layout.starts + span.start + place)
        sbo_logits = None
        if place < self._sbo_positions:
            numbers = torch.arange(num_windows, device=windows.device)
            left, right = layout.starts + span.start - 1, layout.starts + span.end
            offset = torch.full_like(numbers, place)
            sbo_logits = self.model.span_boundary_logits(hidden, left, right, numbers, offset)
        mlm = _log_softmax(mlm_logits, candidates)  # [K, V]
        if sbo_logits is None:
            return torch.stack((mlm, mlm, torch.zeros_like(mlm)), dim=-1)
        sbo = _log_softmax(sbo_logits, candidates)
        return torch.stack((_log_softmax(mlm + sbo, candidates), mlm, sbo), dim=-1)


@dataclass(frozen=True)
class _Beams:
    """K partly filled spans, best first: `pieces` [K, pieces so far]; `scores` [K, 3] by both heads, MLM, SBO."""

    pieces: Tensor
    scores: Tensor

    def extended(self, scores: Tensor, num_beams: int) -> _Beams:
        """The best `num_beams` (or all, if there are fewer) with one more piece, whose `scores` are [K, V, 3]."""
        totals = self.scores[:, None] + scores  # [K, V, 3]
        vocab_size = totals.shape[1]
        best, index = totals[..., 0].flatten().topk(min(num_beams, totals[..., 0].numel()))
        index = index[best > -math.inf]
        pieces = torch.cat((self.pieces[index // vocab_size], (index % vocab_size)[:, None]), dim=1)
        return _Beams(pieces, totals.flatten(0, 1)[index])


def _log_softmax(logits: Tensor, candidates: Tensor) -> Tensor:
    """[K, V] log-probabilities over the `candidates` [V] only."""
    return logits.masked_fill(~candidates, -math.inf).log_softmax(-1)
