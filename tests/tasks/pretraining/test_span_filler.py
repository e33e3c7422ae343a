"""Filling spans: the right words, and scores that are what their definition says."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny_filling_model import MAX_POSITIONS, tiny_tokenizer, trained_model, untrained_model

from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.tasks.pretraining import span_filler
from spanbert.tasks.pretraining.head import SpanBertForPreTraining
from spanbert.tasks.pretraining.masked_text import read_masked_text
from spanbert.tasks.pretraining.span_filler import Candidate, FilledSpan, SpanFiller
from spanbert.tokenization import PieceTokenizer
from spanbert.training.devices import has_fast_bf16

TOKENIZER = tiny_tokenizer()
NUM_CANDIDATES = TOKENIZER.vocab_size - 5


@cache
def filler() -> SpanFiller:
    return SpanFiller(trained_model(), TOKENIZER, precision="fp32")


def assert_close(found: FilledSpan, expected: FilledSpan) -> None:
    assert [candidate.pieces for candidate in found.candidates] == [c.pieces for c in expected.candidates]
    for one, other in zip(found.candidates, expected.candidates, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("The capital of [MASK] is Paris.", "The capital of France is Paris."),
        ("The capital of [MASK] [MASK] is Wellington.", "The capital of New Zealand is Wellington."),
        ("The capital of New Zealand is [MASK] [MASK] [MASK].", "The capital of New Zealand is Wellington."),
        ("The capital of New Zealand is Well [MASK][MASK].", "The capital of New Zealand is Wellington."),
        ("[MASK] capital of France is [MASK].", "The capital of France is Paris."),
        ("Two plum[MASK] and one pear are un[MASK]able.", "Two plums and one pear are undoable."),
        ("北[MASK]是中国的[MASK][MASK]。", "北京是中国的首都。"),
    ],
)
def test_a_model_fills_in_what_it_has_learnt(text: str, best: str) -> None:
    filled = filler().fill(text)
    assert filled.text == text
    assert filled.best == best


def test_candidates_are_ranked_and_scored() -> None:
    text = "😀👩‍🔬中: The old man [MASK] \n [MASK] the sea."
    (span,) = filler().fill(text, top_k=6).spans
    assert text[span.start : span.end] == "[MASK] \n [MASK]"
    assert span.num_pieces == 2
    assert span.num_pieces_left_out == 0
    scores = [candidate.score for candidate in span.candidates]
    assert len(scores) == 6
    assert scores == sorted(scores, reverse=True)
    for candidate in span.candidates:
        assert candidate.sbo_score is not None
        assert max(candidate.score, candidate.mlm_score, candidate.sbo_score) <= 0
        assert candidate.probability == math.exp(candidate.score)
        assert len(candidate.pieces) == 2


def test_candidates_tell_how_they_are_written() -> None:
    (span,) = filler().fill("Two plum [MASK] and one pear are undoable.").spans
    first = span.candidates[0]
    assert (first.text, first.pieces, first.joins_left) == ("s", ("##s",), True)
    (span,) = filler().fill("The capital of New Zealand is [MASK][MASK][MASK].").spans
    first = span.candidates[0]
    assert (first.text, first.pieces, first.joins_left) == ("Wellington", ("Well", "##ing", "##ton"), False)


@pytest.mark.parametrize("sbo_positions", [0, 1, 4])
@pytest.mark.parametrize("num_pieces", [1, 2])
def test_probabilities_of_all_candidates_sum_to_one(sbo_positions: int, num_pieces: int) -> None:
    untrained = SpanFiller(untrained_model(sbo_positions, extra_rows=3), TOKENIZER, precision="fp32")
    (span,) = untrained.fill(f"The capital {'[MASK]' * num_pieces} is", top_k=10**6).spans
    # Every candidate is there once, and none is a special piece or a row without a piece.
    assert (
        len({candidate.pieces for candidate in span.candidates}) == len(span.candidates) == NUM_CANDIDATES**num_pieces
    )
    assert not {"[UNK]", "[MASK]", "[PAD]", "[CLS]", "[SEP]"} & {p for c in span.candidates for p in c.pieces}
    for of_candidate in (lambda c: c.score, lambda c: c.mlm_score):
        assert math.fsum(math.exp(of_candidate(c)) for c in span.candidates) == pytest.approx(1, abs=1e-4)


def test_inside_a_word_the_first_piece_continues_it() -> None:
    untrained = SpanFiller(untrained_model(), TOKENIZER, precision="fp32")
    (span,) = untrained.fill("The capital un[MASK][MASK] is", top_k=10**6).spans
    continuing = int(TOKENIZER.continues.sum())
    assert len(span.candidates) == continuing * NUM_CANDIDATES
    assert all(candidate.pieces[0].startswith("##") for candidate in span.candidates)
    assert math.fsum(candidate.probability for candidate in span.candidates) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("sbo_positions", [0, 1, 4])
@pytest.mark.parametrize("text", ["The capital [MASK] of.", "[MASK][MASK]", "Two [MASK][MASK][MASK] one [MASK] sea."])
def test_scores_are_what_their_definition_says(sbo_positions: int, text: str, tmp_path: Path) -> None:
    """Recomputed piece by piece with plain `transformers` and the formula of the span boundary objective."""
    model = untrained_model(sbo_positions)
    model.save_pretrained(tmp_path)
    plain = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)
    filled = SpanFiller(model, TOKENIZER, precision="fp32").fill(text, top_k=4)
    masked = read_masked_text(text, TOKENIZER)
    for span, place in zip(filled.spans, masked.spans, strict=True):
        assert span.candidates
        for candidate in span.candidates:
            start, end = place.pieces.start + 1, place.pieces.end + 1
            ids = [TOKENIZER.cls_id, *masked.ids, TOKENIZER.sep_id]
            expected = _scores(plain, model, ids, start, end, candidate)
            found = (candidate.score, candidate.mlm_score, candidate.sbo_score)
            assert (candidate.sbo_score is None) == (sbo_positions == 0)
            assert [score or 0.0 for score in found] == pytest.approx(expected, abs=1e-4)


def _scores(
    plain: Any, model: SpanBertForPreTraining, ids: list[int], start: int, end: int, candidate: Candidate
) -> list[float]:
    """[joint, MLM, SBO] log-probability of a candidate for the span `start` to `end` of a window."""
    sums = [0.0, 0.0, 0.0]
    ids = list(ids)
    allowed = torch.ones(TOKENIZER.vocab_size, dtype=torch.bool)
    allowed[list(TOKENIZER.special_ids)] = False
    for position, piece in enumerate(map(TOKENIZER.id, candidate.pieces), start):
        with torch.no_grad():
            output = plain(torch.tensor([ids]), output_hidden_states=True)
            mlm = output.logits[0, position]
            hidden = output.hidden_states[-1][0]
            sbo = torch.zeros_like(mlm)
            head, offset = model.cls.sbo, position - start
            if head is not None and offset < head.position_embeddings.num_embeddings:
                features = torch.cat((hidden[start - 1], hidden[end], head.position_embeddings.weight[offset]))
                features = head.layer_norm1(torch.nn.functional.gelu(head.linear1(features)))
                features = head.layer_norm2(torch.nn.functional.gelu(head.linear2(features)))
                sbo = model.bert.embeddings.word_embeddings.weight @ features + head.bias
                sums[2] += float(sbo[allowed].log_softmax(0)[_rank(allowed, piece)])
        sums[0] += float((mlm + sbo)[allowed].log_softmax(0)[_rank(allowed, piece)])
        sums[1] += float(mlm[allowed].log_softmax(0)[_rank(allowed, piece)])
        ids[position] = piece
    return sums


def _rank(allowed: torch.Tensor, piece: int) -> int:
    return int(allowed[:piece].sum())


def test_without_sbo_one_piece_is_ranked_as_by_transformers(tmp_path: Path) -> None:
    model = untrained_model(sbo_positions=0)
    model.save_pretrained(tmp_path)
    TOKENIZER.save(tmp_path)
    text = "The capital of [MASK] is Paris."
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path)
    inputs = fast(text, return_tensors="pt")
    with torch.no_grad():
        logits = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path)(**inputs).logits[0]
    (row,) = logits[inputs["input_ids"][0] == fast.mask_token_id]
    ranking = [fast.convert_ids_to_tokens(int(number)) for number in row.argsort(descending=True)]
    (span,) = SpanFiller(model, TOKENIZER, precision="fp32").fill(text, top_k=NUM_CANDIDATES).spans
    assert [candidate.pieces[0] for candidate in span.candidates] == [
        p for p in ranking if p not in fast.all_special_tokens
    ]


def test_the_first_candidates_do_not_depend_on_how_many_are_asked_for() -> None:
    text = "The old [MASK] [MASK] [MASK] the sea."
    (many,) = filler().fill(text, top_k=8).spans
    for top_k in (1, 3):
        (few,) = filler().fill(text, top_k=top_k).spans
        assert_close(few, FilledSpan(many.start, many.end, 3, 0, many.candidates[:top_k]))


def test_results_do_not_depend_on_batches_or_other_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["The old [MASK] [MASK] by [MASK] sea.", "The capital of [MASK] is Paris.", "[MASK][MASK]是中国"]
    alone = [SpanFiller(trained_model(), TOKENIZER, precision="fp32").fill(text) for text in texts]
    monkeypatch.setattr(span_filler, "_BATCH_PIECES", 1)
    for text, expected in [*zip(texts, alone, strict=True)][::-1]:
        for one, other in zip(filler().fill(text).spans, expected.spans, strict=True):
            assert_close(one, other)


def test_a_long_text_is_read_in_a_window_around_the_span() -> None:
    words = ["capital", "of", "France", "is", "Paris", "and", "one", "old", "man", "sat", "by", "the", "sea"]
    before, after = " ".join((words * 4)[:40]), " ".join((words * 4)[:31])
    sentence = "The capital of [MASK] is Paris."
    (span,) = filler().fill(f"{before} {sentence} {after}").spans
    window_size = MAX_POSITIONS - 2
    assert span.start == len(before) + 1 + sentence.index("[MASK]")
    assert span.num_pieces_left_out == 40 + 7 + 31 - window_size
    # The span's piece has 10 pieces of its window on its left, 11 on its right.
    seen = " ".join([*before.split()[-7:], sentence, *after.split()[:8]])
    (expected,) = filler().fill(seen).spans
    assert expected.num_pieces_left_out == 0
    assert_close(span, expected)


def test_a_span_may_fill_the_window_but_not_more() -> None:
    window_size = MAX_POSITIONS - 2
    (span,) = filler().fill("The " + "[MASK]" * window_size + " sea", top_k=1).spans
    assert (span.num_pieces, span.num_pieces_left_out) == (window_size, 2)
    with pytest.raises(InputError, match=rf"the {window_size + 1} \[MASK\]s from character 4 on are more than"):
        filler().fill("The " + "[MASK]" * (window_size + 1))


def test_bf16_moves_scores_little_where_the_processor_has_it() -> None:
    text = "The capital of New [MASK] is Wellington."
    if not has_fast_bf16(torch.device("cpu")):
        with pytest.raises(ConfigurationError, match="no bf16"):
            SpanFiller(trained_model(), TOKENIZER, precision="bf16")
        return
    (exact,) = filler().fill(text).spans
    (rough,) = SpanFiller(trained_model(), TOKENIZER, precision="bf16").fill(text).spans
    assert rough.candidates[0].pieces == exact.candidates[0].pieces
    assert rough.candidates[0].score == pytest.approx(exact.candidates[0].score, abs=0.05)


def test_refusals() -> None:
    with pytest.raises(ConfigurationError, match="top_k"):
        filler().fill("The [MASK]", top_k=0)
    larger = PieceTokenizer(TOKENIZER._tokenizer)
    larger.add_words(["plus"])
    with pytest.raises(CheckpointError, match="do not belong together"):
        SpanFiller(trained_model(), larger)
