"""Masking: what every scheme keeps to, and the distribution of the preset `paper`."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from flat_text import MASK_ID, VOCAB_SIZE, VOCABULARY, flat_blocks, random_text
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.blocks import FlatBlocks
from spanbert.tasks.pretraining.masking import Action, MaskedBlocks, MaskingConfig, Scheme, mask_blocks

CONFIGS = [*(MaskingConfig(scheme=scheme) for scheme in get_args(Scheme)), MaskingConfig(preset="as-released")]
WHOLE_WORDS = [MaskingConfig(scheme=scheme) for scheme in get_args(Scheme) if scheme != "pieces"]
WORDS = st.lists(st.lists(st.integers(1, 12), max_size=40), min_size=1, max_size=6)
BUDGETS = st.sampled_from([0.01, 0.15, 0.5, 0.95])


def mask(blocks: FlatBlocks, config: MaskingConfig, *, seed: int = 0, epoch: int = 0) -> MaskedBlocks:
    return mask_blocks(blocks, config, seed=seed, epoch=epoch, vocabulary=VOCABULARY)


def with_units(words: list[list[int]]) -> FlatBlocks:
    """Every fifth piece and the one after it are annotated, where they are in one block."""
    blocks = flat_blocks(words)
    starts = np.arange(0, max(len(blocks.pieces) - 1, 0), 5)
    is_inside = ~np.isin(starts + 1, blocks.offsets)
    return replace(blocks, units=np.stack((starts, starts + 2), axis=1)[is_inside])


def assert_distributed(observed: Counter[frozenset[int]], expected: dict[frozenset[int], float]) -> None:
    """Compare counts of outcomes with their probabilities by chi-square; the bound is 4 standard deviations."""
    num = sum(observed.values())
    assert sum(expected.values()) == pytest.approx(1)
    assert set(observed) <= set(expected)
    frequent = {outcome: share * num for outcome, share in expected.items() if share * num >= 5}
    assert len(frequent) > 20
    chi_square = sum((observed[outcome] - mean) ** 2 / mean for outcome, mean in frequent.items())
    assert chi_square < len(frequent) + 4 * np.sqrt(2 * len(frequent))


# What holds for every scheme and preset


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.scheme}, {config.preset}")
@settings(max_examples=40, deadline=None)
@given(words=WORDS, budget=BUDGETS, epoch=st.integers(0, 1000))
def test_masks_are_well_formed(config: MaskingConfig, words: list[list[int]], budget: float, epoch: int) -> None:
    blocks = with_units(words)
    original = blocks.pieces.copy()
    masked = mask(blocks, replace(config, budget=budget), epoch=epoch)

    covered = [i for start, end in zip(masked.span_starts, masked.span_ends, strict=True) for i in range(start, end)]
    assert masked.positions.tolist() == covered == sorted(set(covered))
    assert (masked.span_starts < masked.span_ends).all()
    assert (blocks.offsets[masked.span_blocks] <= masked.span_starts).all()
    assert (masked.span_ends <= blocks.offsets[masked.span_blocks + 1]).all()
    assert ((masked.num_masked > 0) == (blocks.lengths > 0)).all()
    assert masked.num_masked.sum() == len(covered)

    assert blocks.pieces.tolist() == original.tolist()
    assert masked.targets.tolist() == original[covered].tolist()
    untouched = np.delete(np.arange(len(original)), covered)
    assert (masked.pieces[untouched] == original[untouched]).all()
    for start, end, action in zip(masked.span_starts, masked.span_ends, masked.actions, strict=True):
        if action == Action.MASK:
            assert (masked.pieces[start:end] == MASK_ID).all()
        elif action == Action.KEEP:
            assert (masked.pieces[start:end] == original[start:end]).all()
        else:
            assert (masked.pieces[start:end] != MASK_ID).all()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.scheme}, {config.preset}")
@settings(max_examples=25, deadline=None)
@given(words=WORDS, data=st.data())
def test_a_blocks_mask_does_not_depend_on_the_others(
    config: MaskingConfig, words: list[list[int]], data: st.DataObject
) -> None:
    together = with_units(words)
    config = replace(config, budget=data.draw(BUDGETS))
    masked = mask(together, config)
    block = data.draw(st.integers(0, len(words) - 1))
    start, end = together.offsets[block], together.offsets[block + 1]
    is_here = (together.units[:, 0] >= start) & (together.units[:, 1] <= end)
    alone = FlatBlocks(
        pieces=together.pieces[start:end],
        word_starts=together.word_starts[start:end],
        offsets=np.array([0, end - start]),
        indices=np.array([block]),
        units=together.units[is_here] - start,
    )
    masked_alone = mask(alone, config)
    of_block = masked.span_blocks == block
    assert masked_alone.pieces.tolist() == masked.pieces[start:end].tolist()
    assert masked_alone.span_starts.tolist() == (masked.span_starts[of_block] - start).tolist()
    assert masked_alone.span_ends.tolist() == (masked.span_ends[of_block] - start).tolist()
    assert masked_alone.actions.tolist() == masked.actions[of_block].tolist()
    assert masked_alone.has_sbo.tolist() == masked.has_sbo[of_block].tolist()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.scheme}, {config.preset}")
def test_seed_epoch_and_index_name_the_mask(config: MaskingConfig) -> None:
    blocks = random_text(50, 64)
    first = mask(blocks, config, seed=1, epoch=2)
    assert mask(blocks, config, seed=1, epoch=2).pieces.tolist() == first.pieces.tolist()
    others = [
        mask(blocks, config, seed=1, epoch=3),
        mask(blocks, config, seed=2, epoch=2),
        mask(replace(blocks, indices=blocks.indices + 50), config, seed=1, epoch=2),
    ]
    for other in others:
        shared = np.isin(first.positions, other.positions).mean()
        assert shared < 0.3  # about 0.15 where masks are unrelated


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.scheme}, {config.preset}")
def test_actions_are_drawn_once_per_span_in_their_shares(config: MaskingConfig) -> None:
    masked = mask(random_text(3000, 128), config)
    counts = np.bincount(masked.actions, minlength=3)
    num = counts.sum()
    expected = num * np.array([0.8, 0.1, 0.1])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # 2 degrees of freedom, p = 0.001
    # No relation to a span's place in its block or to its length.
    for figure in (masked.span_starts % 128, masked.span_ends - masked.span_starts):
        if figure.std() > 0:
            assert abs(np.corrcoef(figure, masked.actions)[0, 1]) < 4 / np.sqrt(num)


def test_random_pieces_are_uniform_and_never_special() -> None:
    masked = mask(random_text(2000, 128), MaskingConfig(mask_share=0, random_share=1))
    drawn = masked.pieces[masked.positions]
    observed = np.bincount(drawn, minlength=VOCAB_SIZE)
    assert not observed[:5].any()
    expected = len(drawn) / (VOCAB_SIZE - 5)
    assert ((observed[5:] - expected) ** 2 / expected).sum() < 995 + 4 * np.sqrt(2 * 995)


def test_no_blocks_no_masks() -> None:
    for config in CONFIGS:
        for words in ([], [[]], [[], [1], []]):
            masked = mask(flat_blocks(words), config)
            assert masked.num_masked.tolist() == [len(block) for block in words]


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "as-released", "scheme": "whole-words"},
        {"budget": 0},
        {"budget": 1},
        {"p": 1},
        {"max_span_words": 0},
        {"mask_share": 0.95},
        {"random_share": -0.1},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        MaskingConfig(**options)  # type: ignore[arg-type]


# The preset `paper`


@pytest.mark.parametrize("config", WHOLE_WORDS, ids=lambda config: config.scheme)
@settings(max_examples=60, deadline=None)
@given(words=WORDS, budget=BUDGETS, epoch=st.integers(0, 1000))
def test_whole_words_within_the_budget_whose_boundaries_are_seen(
    config: MaskingConfig, words: list[list[int]], budget: float, epoch: int
) -> None:
    blocks = with_units(words)
    masked = mask(blocks, replace(config, budget=budget), epoch=epoch)
    is_bound = np.append(blocks.word_starts, True)
    assert is_bound[masked.span_starts].all()
    assert is_bound[masked.span_ends].all()
    same_block = masked.span_blocks[1:] == masked.span_blocks[:-1]
    gaps = (masked.span_starts[1:] - masked.span_ends[:-1])[same_block]
    if config.scheme == "whole-words":
        assert (gaps >= 0).all()
    else:
        assert (gaps > 0).all()
    is_masked = np.zeros(len(blocks.pieces) + 1, dtype=bool)
    is_masked[masked.positions] = True
    seen = [
        not (start > first and is_masked[start - 1]) and not (end < last and is_masked[end])
        for start, end, first, last in zip(
            masked.span_starts,
            masked.span_ends,
            blocks.offsets[masked.span_blocks],
            blocks.offsets[masked.span_blocks + 1],
            strict=True,
        )
    ]
    assert masked.has_sbo.tolist() == seen

    # A block whose words are all too long gets its shortest one.
    shortest = np.array([min(block, default=0) for block in words])
    floors = np.array([round(100 * budget) * sum(block) // 100 for block in words])
    assert masked.budgets.tolist() == np.where(blocks.lengths > 0, np.maximum(floors, 1), 0).tolist()
    assert (masked.num_masked <= np.maximum(masked.budgets, shortest)).all()

    if config.unit_kind is None:
        longest = 10 if config.scheme == "spans" else 1
        for start, end in zip(masked.span_starts, masked.span_ends, strict=True):
            assert blocks.word_starts[start:end].sum() <= longest


def test_lengths_keep_their_distribution() -> None:
    """Where the budget is large beside a span, stopping before the budget is exceeded hardly matters."""
    masked = mask(random_text(40, 20_000, continues=0), MaskingConfig())
    observed = np.bincount(masked.span_ends - masked.span_starts, minlength=11)[1:]
    expected = observed.sum() * MaskingConfig().span_lengths().probabilities
    assert observed.sum() > 30_000
    assert ((observed - expected) ** 2 / expected).sum() < 27.9  # 9 degrees of freedom, p = 0.001


def test_mean_length_in_blocks_of_510() -> None:
    """The span that would exceed the budget is dropped, and it is a long one more often: 3.71 words, not 3.797."""
    masked = mask(random_text(4000, 510, continues=0), MaskingConfig())
    assert (masked.span_ends - masked.span_starts).mean() == pytest.approx(3.71, abs=0.03)
    assert masked.num_masked.mean() / 510 == pytest.approx(0.1446, abs=0.001)


def test_every_place_is_as_likely() -> None:
    """But for the ends of a block, which fewer spans can cover."""
    masked = mask(random_text(50_000, 128, continues=0), MaskingConfig())
    observed = np.bincount(masked.positions % 128, minlength=128)
    inner = observed[14:-14].reshape(10, 10).sum(axis=1)
    assert np.abs(inner / inner.mean() - 1).max() < 0.04
    # The ends are alike: nothing leans to one side.
    assert observed[:14] / observed[:-15:-1] == pytest.approx(np.ones(14), abs=0.1)


def outcomes(
    words: list[int], budget: int, config: MaskingConfig, units: list[tuple[int, int]]
) -> dict[frozenset[int], float]:
    """Probability of every set of masked words, by following all that can happen; units are (first word, length)."""
    num = len(words)
    lengths = list(enumerate(config.span_lengths().probabilities.tolist(), start=1))

    def places(masked: frozenset[int], spans: list[tuple[int, int]]) -> list[frozenset[int]]:
        gap = 0 if config.scheme == "whole-words" else 1
        free = [range(s, s + n) for s, n in spans if s + n <= num and masked.isdisjoint(range(s - gap, s + n + gap))]
        return [frozenset(span) for span in free]

    def next_spans(masked: frozenset[int]) -> list[tuple[float, frozenset[int] | None]]:
        """What is drawn next, None for nothing."""
        drawn: list[tuple[float, frozenset[int] | None]] = []
        free_units = places(masked, units)
        drawn += [(0.5 / len(free_units), unit) for unit in free_units]
        possible = [(length, p) for length, p in lengths if length <= num]
        share = (0.5 if free_units else 1) / sum(p for _, p in possible)
        for length, p in possible:
            free = places(masked, [(start, length) for start in range(num)])
            drawn += [(share * p / len(free), span) for span in free] or [(share * p, None)]
        return drawn

    @functools.cache
    def after(masked: frozenset[int]) -> dict[frozenset[int], float]:
        left = budget - sum(words[i] for i in masked)
        drawn = [
            (p, None if span is None or sum(words[i] for i in span) > left else span) for p, span in next_spans(masked)
        ]
        if not masked:  # the first span is drawn until it fits
            drawn = [(p, span) for p, span in drawn if span is not None]
            drawn = [(p / sum(p for p, _ in drawn), span) for p, span in drawn]
        result: Counter[frozenset[int]] = Counter()
        for p, span in drawn:
            for outcome, share in after(masked | span).items() if span else [(masked, 1.0)]:
                result[outcome] += p * share  # type: ignore[assignment]
        return dict(result)  # type: ignore[arg-type]

    return after(frozenset())


@pytest.mark.parametrize(
    ("scheme", "units"),
    [("spans", []), ("whole-words", []), ("entities", [(1, 2), (2, 1), (7, 4), (9, 3)])],
)
def test_distribution_on_a_small_block(scheme: Scheme, units: list[tuple[int, int]]) -> None:
    words, num_blocks = [1, 2, 1, 1, 3, 1, 1, 2, 1, 1, 1, 2], 30_000
    starts = np.cumsum([0, *words])
    config = MaskingConfig(scheme=scheme, budget=0.6, max_span_words=4)
    positions = [(int(starts[s]), int(starts[s + n])) for s, n in units]
    shifted = [(b * starts[-1] + s, b * starts[-1] + e) for b in range(num_blocks) for s, e in positions]
    masked = mask(flat_blocks([words] * num_blocks, units=shifted), config)

    word_of_piece = np.repeat(np.arange(len(words)), words)
    bounds = np.searchsorted(masked.positions, masked.blocks.offsets)
    in_words = word_of_piece[masked.positions % starts[-1]]
    observed = Counter(frozenset(in_words[a:b].tolist()) for a, b in pairwise(bounds))
    assert_distributed(observed, outcomes(words, int(masked.budgets[0]), config, units))


def test_half_of_the_spans_are_units_while_there_are_enough() -> None:
    blocks = random_text(400, 510, continues=0)
    starts = np.arange(0, len(blocks.pieces), 10)
    blocks = replace(blocks, units=np.stack((starts, starts + 3), axis=1))
    masked = mask(blocks, MaskingConfig(scheme="noun-phrases"))
    lengths = masked.span_ends - masked.span_starts
    assert set(lengths.tolist()) == {1, 3}
    assert (masked.span_starts[lengths == 3] % 10 == 0).all()
    assert (lengths == 3).mean() == pytest.approx(0.5, abs=0.03)


def test_units_grow_to_whole_words() -> None:
    blocks = flat_blocks([[2, 3, 2, 5, 3, 1, 1, 1]], units=[(3, 6)])  # from inside the second to inside the third word
    spans = set()
    for epoch in range(60):
        masked = mask(blocks, MaskingConfig(scheme="entities", budget=0.5), epoch=epoch)
        spans |= set(zip(masked.span_starts.tolist(), masked.span_ends.tolist(), strict=True))
    assert (2, 7) in spans


def test_without_units_entities_are_whole_words() -> None:
    blocks = random_text(100, 128)
    masked = mask(blocks, MaskingConfig(scheme="entities"))
    spans = zip(masked.span_starts, masked.span_ends, strict=True)
    assert not any(blocks.word_starts[start + 1 : end].any() for start, end in spans)


def test_single_words_fall_where_they_may() -> None:
    """Every word is as likely, and masked neighbours are as frequent as chance has it: all are predicted alike."""
    masked = mask(random_text(2000, 128, continues=0), MaskingConfig(scheme="whole-words", budget=0.4))
    share = masked.num_masked.mean() / 128
    assert share == pytest.approx(51 / 128)  # words of one piece use the budget up
    is_masked = np.zeros((2000, 128), dtype=bool)
    is_masked.flat[masked.positions] = True
    assert (is_masked[:, 1:] & is_masked[:, :-1]).mean() == pytest.approx(share * 50 / 127, abs=0.002)
    assert is_masked.mean(axis=0) == pytest.approx(np.full(128, share), abs=0.05)


def test_single_pieces_are_uniform_and_use_the_budget() -> None:
    blocks = random_text(20_000, 20)
    masked = mask(blocks, MaskingConfig(scheme="pieces"))
    assert (masked.num_masked == 3).all()
    assert not masked.has_sbo.any()
    assert (masked.span_ends - masked.span_starts == 1).all()
    observed = np.bincount(masked.positions % 20, minlength=20)
    assert ((observed - 3000) ** 2 / 3000).sum() < 43.8  # 19 degrees of freedom, p = 0.001
    triples = Counter(map(tuple, (masked.positions.reshape(-1, 3) % 20).tolist()))
    expected = 20_000 / 1140
    chi_square = sum((count - expected) ** 2 / expected for count in triples.values())
    assert len(triples) == 1140
    assert chi_square < 1140 + 4 * np.sqrt(2 * 1140)
