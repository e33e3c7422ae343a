"""Windows, model and decoding of coreference, with a tiny encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.batching import TaskBatch, collate
from spanbert.finetuning.data import TrainingWindows
from spanbert.predicting import Predictor
from spanbert.spans import LabelledSpan, Span
from spanbert.task import Scored, Window
from spanbert.task_checkpoints import new_task_model
from spanbert.tasks.coreference import mention_scorer, pair_scorer
from spanbert.tasks.coreference.config import CoreferenceSettings
from spanbert.tasks.coreference.decode import best_threshold, gold_clusters, kept_mentions
from spanbert.tasks.coreference.examples import AmbiguousPronoun, CoreferenceExample, sorted_clusters
from spanbert.tasks.coreference.features import make_training_units, make_windows, num_candidates
from spanbert.tasks.coreference.head import SpanBertForCoreference
from spanbert.tasks.coreference.task import CoreferenceResolution
from spanbert.text_words import find_words
from spanbert.tokenization import PieceTokenizer

TEXT = "Ada met Bob in Oslo. She gave him a book. He read it.\nThen Ada left, and Bob wrote to her."
SMALL: dict[str, Any] = {
    "max_length": 24,
    "train_windows": 2,
    "hidden_size": 16,
    "max_span_width": 4,
    "top_spans_per_word": 0.6,
}


def spans_of(text: str, *mentions: tuple[str, int]) -> tuple[Span, ...]:
    """The n-th occurrence of each string."""
    found = []
    for mention, number in mentions:
        start = -1
        for _ in range(number):
            start = text.index(mention, start + 1)
        found.append(Span(start, start + len(mention)))
    return tuple(found)


ADA = spans_of(TEXT, ("Ada", 1), ("She", 1), ("Ada", 2), ("her", 1))
BOB = spans_of(TEXT, ("Bob", 1), ("him", 1), ("He", 1), ("Bob", 2))
BOOK = spans_of(TEXT, ("a book", 1), ("it", 1))
EXAMPLE = CoreferenceExample("ada", TEXT, sorted_clusters([ADA, BOB, BOOK]))
Make = Callable[..., tuple[CoreferenceResolution, SpanBertForCoreference, PieceTokenizer]]


@pytest.fixture
def make(encoder_folder: Path) -> Make:
    def made(examples: Sequence[CoreferenceExample] = (EXAMPLE,), **options: Any) -> Any:
        task = CoreferenceResolution(CoreferenceSettings(**{**SMALL, **options})).learn(examples)
        model, tokenizer, _ = new_task_model(task, encoder_folder, dropout=0.0)
        return task, model, tokenizer

    return made


def repeated(times: int, **changes: Any) -> CoreferenceExample:
    """The example's text several times, its clusters once in each."""
    step = len(TEXT) + 1
    clusters = [
        tuple(Span(start + number * step, end + number * step) for start, end in cluster)
        for number in range(times)
        for cluster in EXAMPLE.clusters or ()
    ]
    return replace(EXAMPLE, text="\n".join([TEXT] * times), clusters=sorted_clusters(clusters), **changes)


def scored_batch(model: SpanBertForCoreference, units: Sequence[Sequence[Window]]) -> tuple[TaskBatch, dict[str, Any]]:
    batch = collate(units)
    return batch, model.score_in_fp32(model.reduce(model.encode(batch), batch), batch)


def test_every_word_is_decided_once_and_windows_end_with_sentences(make: Make) -> None:
    task, _, tokenizer = make()
    for stride in (0, 8):
        windows = make_windows(repeated(3), replace(task.settings, stride=stride), tokenizer, training=False)
        words = find_words(repeated(3).text, None, tokenizer, by_character=False)
        assert sum(len(window.positions["words"]) for window in windows) == len(words.firsts)
        assert all(len(window.pieces) <= 24 for window in windows)
        assert len(windows) > 3
        first_pieces = [window.pieces[window.positions["words"][:, 0]] for window in windows]
        assert np.concatenate(first_pieces).tolist() == words.pieces[words.firsts].tolist()


@given(length=st.integers(10, 40), parts=st.integers(1, 3), stride=st.integers(0, 4), times=st.integers(1, 4))
@settings(deadline=None, max_examples=25)
def test_training_parts_hold_every_word_once(
    encoder_folder: Path, length: int, parts: int, stride: int, times: int
) -> None:
    tokenizer = PieceTokenizer.load(encoder_folder)
    options = CoreferenceSettings(**{**SMALL, "max_length": length, "train_windows": parts, "stride": stride})
    example = repeated(times)
    units = make_training_units(example, options, tokenizer)
    assert all(len(unit) <= parts for unit in units)
    words = find_words(example.text, None, tokenizer, by_character=False)
    places = [window.pieces[window.positions["words"]] for unit in units for window in unit]
    assert np.concatenate(places).tolist() == words.pieces[np.stack((words.firsts, words.lasts), 1)].tolist()
    learned = sum(len(unit[0].values["gold"]) for unit in units)
    across = sum(unit[0].counts["left_out_mentions_across_training_parts"] for unit in units)
    assert learned + across == 10 * times
    for unit in units:
        num_words = sum(len(window.positions["words"]) for window in unit)
        assert (unit[0].values["gold"][:, :2] < num_words).all()
        assert all(len(window.values["gold"]) == 0 for window in unit[1:])


@given(num_words=st.integers(0, 12), width=st.integers(1, 15))
def test_the_number_of_candidates(num_words: int, width: int) -> None:
    spans = [(i, j) for i in range(num_words) for j in range(i + 1, num_words + 1) if j - i <= width]
    assert num_candidates(num_words, width) == len(spans)


def test_what_cannot_be_learned_is_counted(make: Make) -> None:
    example = replace(EXAMPLE, clusters=sorted_clusters([(*ADA, Span(0, 41)), BOB, (*BOOK, ADA[0])]))
    task, _, tokenizer = make([example])
    left_out = TrainingWindows.of(task, [example], tokenizer).left_out
    assert left_out == {
        "left_out_mentions_wider_than_max_span_width": 1,
        "left_out_mentions_of_the_same_words_as_another_cluster's": 1,
    }


def test_spans_are_scored_as_their_representations_would_be(make: Make) -> None:
    """The first layer is applied to words instead of spans, chunk by chunk; the scores are the same."""
    _, model, _ = make()
    model.eval()
    first, last = torch.randn(2, 24, 32)
    by_width = model.mentions(first, last, 21)  # the three rows behind the words are no words
    spans = torch.tensor([(i, i + w) for i in range(21) for w in range(4) if i + w < 21])
    by_span = model.mentions.score_spans(first, last, spans)
    torch.testing.assert_close(by_width[spans[:, 0], spans[:, 1] - spans[:, 0]], by_span, rtol=1e-5, atol=1e-5)
    assert torch.isinf(by_width).sum() == 21 * 4 - len(spans)
    # The head of a span, by its definition (Lee et al. 2017, section 4).
    weights = model.mentions.head_attention(first[3:7]).softmax(0)
    expected = torch.cat((first[3], last[6], (weights * first[3:7]).sum(0), model.mentions.width_embeddings.weight[3]))
    torch.testing.assert_close(model.mentions.represent(first, last, torch.tensor([[3, 6]]))[0], expected)


def test_products_have_few_sizes_however_many_lengths_documents_have(make: Make) -> None:
    """A CPU keeps code for every size of a product: with ever-new ones a run grows by gigabytes."""
    task, model, tokenizer = make()
    shapes: dict[str, set[torch.Size]] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(
                lambda _, inputs, __, name=name: shapes.setdefault(name, set()).add(inputs[0].shape)
            )
    words = (TEXT + "\n") * 10
    lengths = range(20, 120)
    for length in lengths:
        example = CoreferenceExample("part", " ".join(words.split()[:length]), ())
        scored_batch(model, [make_windows(example, task.settings, tokenizer, training=False)])
    assert len(shapes) > 12
    assert max(map(len, shapes.values())) < len(lengths) / 4


def test_chunks_change_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task, model, tokenizer = make()
    model.eval()
    windows = make_windows(repeated(4), task.settings, tokenizer, training=False)
    _, whole = scored_batch(model, [windows])
    monkeypatch.setattr(mention_scorer, "_WORDS_AT_ONCE", 5)
    monkeypatch.setattr(pair_scorer, "_MENTIONS_AT_ONCE", 3)
    _, in_chunks = scored_batch(model, [windows])
    assert whole.keys() == in_chunks.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, in_chunks[name], rtol=1e-4, atol=1e-5)


def test_no_antecedent_is_further_back_than_allowed_and_none_is_later(make: Make, monkeypatch: Any) -> None:
    task, model, tokenizer = make(max_antecedent_distance=15, top_spans_per_word=1.0)
    model.eval()
    widths = []
    choose = model.pairs._choose

    def counted(projected: Any, parts: Any, starts: Any, rows: Any, most: int) -> Any:
        widths.append(len(rows))
        return choose(projected, parts, starts, rows, most)

    monkeypatch.setattr(pair_scorer, "_MENTIONS_AT_ONCE", 8)
    monkeypatch.setattr(model.pairs, "_choose", counted)
    _, scores = scored_batch(model, [make_windows(repeated(6), task.settings, tokenizer, training=False)])
    starts = scores["mentions"][:, 0]
    places = torch.arange(len(starts))[:, None].expand_as(scores["antecedents"])
    is_there = scores["antecedents"] >= 0
    assert is_there.any()
    assert max(widths) == 8
    assert (scores["antecedents"][is_there] < places[is_there]).all()
    distance = starts[:, None] - starts[scores["antecedents"].clamp(min=0)]
    assert distance[is_there].max() <= 15
    assert torch.isinf(scores["antecedent_scores"][:, 1:][~is_there]).all()


def test_the_loss_is_that_of_its_definition(make: Make) -> None:
    task, model, tokenizer = make(top_spans_per_word=2.0)
    model.eval()
    [unit] = make_training_units(EXAMPLE, replace(task.settings, max_length=64), tokenizer)
    batch, scores = scored_batch(model, [unit])
    loss = model.loss(scores, batch).losses["links"]
    words = find_words(TEXT, None, tokenizer, by_character=False)
    cluster_of = {
        tuple(words.spans[[first, last - 1], [0, 1]].tolist()): number
        for number, cluster in enumerate(EXAMPLE.clusters or ())
        for first, last in (words.widen(*mention) for mention in cluster)
    }
    mentions = [
        cluster_of.get((int(words.spans[first, 0]), int(words.spans[last, 1])))
        for first, last in scores["mentions"].tolist()
    ]
    assert len([cluster for cluster in mentions if cluster is not None]) >= 3
    expected = 0.0
    for mention, (places, logits) in enumerate(
        zip(scores["antecedents"].tolist(), scores["antecedent_scores"].softmax(1).tolist(), strict=True)
    ):
        right = [
            logits[1 + k]
            for k, place in enumerate(places)
            if place >= 0 and mentions[mention] is not None and mentions[place] == mentions[mention]
        ]
        expected -= float(np.log(sum(right) if right else logits[0]))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)
    assert batch.counts["links"] == 10
    assert batch.counts["mentions"] == 10


def test_documents_of_a_batch_do_not_see_each_other(make: Make) -> None:
    task, model, tokenizer = make()
    examples = [EXAMPLE, repeated(3, id="long"), replace(EXAMPLE, id="short", text="Ada left.", clusters=())]
    units = [unit for example in examples for unit in make_training_units(example, task.settings, tokenizer)]
    model.eval()
    batch, scores = scored_batch(model, units)
    together = {name: float(value.detach()) for name, value in model.loss(scores, batch).losses.items()}
    alone: dict[str, float] = {}
    for unit in units:
        one, one_scores = scored_batch(model, [unit])
        for name, value in model.loss(one_scores, one).losses.items():
            alone[name] = alone.get(name, 0.0) + float(value.detach())
    assert together == pytest.approx(alone, rel=1e-4)


def trained(task: CoreferenceResolution, model: Any, tokenizer: PieceTokenizer, example: CoreferenceExample) -> Any:
    batch = collate(make_training_units(example, task.settings, tokenizer))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    model.train(True)
    for _ in range(40):
        losses = model(batch).losses
        optimizer.zero_grad()
        sum(loss / max(batch.counts[name], 1) for name, loss in losses.items()).backward()
        optimizer.step()
    return Predictor(model, task, tokenizer, device="cpu", precision="fp32")


def test_a_model_learns_a_document_by_heart(make: Make) -> None:
    task, model, tokenizer = make(max_length=64)
    predictor = trained(task, model, tokenizer, EXAMPLE)
    [scored] = predictor.score([EXAMPLE])
    prediction = task.calibrate([scored]).decode(scored)
    assert prediction.spans == EXAMPLE.clusters
    for cluster in prediction.clusters:
        assert cluster[0].antecedent is None
        for number, mention in enumerate(cluster[1:], 1):
            assert mention.antecedent in {before.span for before in cluster[:number]}
            assert mention.text == TEXT[mention.start : mention.end]
            assert 0 < (mention.probability or 0) <= 1
    assert task.compare([EXAMPLE], [prediction], task.settings).figures()["conll_f1"] == 100


def test_singletons_are_found_where_the_data_marks_them(make: Make) -> None:
    oslo = spans_of(TEXT, ("Oslo", 1))
    example = replace(EXAMPLE, clusters=sorted_clusters([ADA, BOB, BOOK, oslo]))
    task, model, tokenizer = make([example], max_length=64)
    assert task.settings.singletons
    predictor = trained(task, model, tokenizer, example)
    scored = list(predictor.score([example]))
    calibrated = task.calibrate(scored)
    assert calibrated.decode(scored[0]).spans == example.clusters
    without = CoreferenceResolution(replace(calibrated.settings, singletons=False)).decode(scored[0])
    assert without.spans == EXAMPLE.clusters


def test_only_given_mentions_are_linked(make: Make) -> None:
    task, model, tokenizer = make(singletons=True)
    mentions = tuple(sorted([ADA[0], BOB[0], ADA[1], Span(0, 52)]))  # one wider than any that could be found
    example = replace(EXAMPLE, mentions=mentions, clusters=None)
    [prediction] = Predictor(model, task, tokenizer, device="cpu", precision="fp32").predict([example])
    assert {mention for cluster in prediction.spans for mention in cluster} == set(mentions)
    nothing = replace(example, mentions=())
    [prediction] = Predictor(model, task, tokenizer, device="cpu", precision="fp32").predict([nothing])
    assert prediction.clusters == ()


@pytest.mark.parametrize("text", ["", " \n ", "a", "\u200b", "。", "x" * 500])
def test_texts_without_much(make: Make, text: str) -> None:
    task, model, tokenizer = make(singletons=True)
    task = CoreferenceResolution(replace(task.settings, mention_threshold=-1000.0))  # all that is kept
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32")
    predictions = list(predictor.predict([CoreferenceExample("1", text), EXAMPLE]))
    assert len(predictions) == 2
    assert bool(predictions[0].clusters) == any(character.isprintable() and character != " " for character in text)
    for mention in (mention for cluster in predictions[0].clusters for mention in cluster):
        assert text[mention.start : mention.end] == mention.text


@pytest.mark.parametrize("batch_pieces", [16, 2048])
def test_a_word_longer_than_a_window_is_read_by_its_own_pieces(make: Make, batch_pieces: int) -> None:
    task, model, tokenizer = make(singletons=True)
    task = CoreferenceResolution(replace(task.settings, mention_threshold=-1000.0))
    text = f"Ada {'-' * 40} met Bob"
    words = tuple(Span(start, start + len(word)) for word in text.split(" ") for start in [text.index(word)])
    example = CoreferenceExample("1", text, words=words)
    for window in task.features(example, tokenizer, training=False):
        assert (window.positions["words"] < len(window.pieces) - 1).all()
    predictor = Predictor(model, task, tokenizer, device="cpu", precision="fp32", batch_pieces=batch_pieces)
    first, _ = predictor.predict([example, EXAMPLE])
    alone = next(predictor.predict([example]))
    assert first == alone


def test_given_mentions_come_back_as_they_were_given(make: Make) -> None:
    task, model, tokenizer = make(singletons=True)
    cut = (Span(1, 3), Span(8, 9), Span(22, 25))  # "da", "B", "She"
    [prediction] = Predictor(model, task, tokenizer, device="cpu", precision="fp32").predict(
        [replace(EXAMPLE, mentions=cut, clusters=None)]
    )
    assert sorted(mention for cluster in prediction.spans for mention in cluster) == sorted(cut)


def test_parts_without_given_mentions_teach_nothing_about_mentions(make: Make) -> None:
    task, model, tokenizer = make()
    example = repeated(4, mentions=(*ADA, *BOB, *BOOK))  # all in the first of four texts
    units = make_training_units(example, task.settings, tokenizer)
    assert len(units) > 2
    batch, scores = scored_batch(model, [units[-1]])
    losses = model.loss(scores, batch).losses
    assert {name: float(loss.detach()) for name, loss in losses.items()} == {"links": 0, "mentions": 0}


def test_an_answer_to_gaps_question_says_nothing_of_other_mentions(make: Make) -> None:
    question = AmbiguousPronoun(ADA[1], ADA[0], BOB[0], is_a=True, is_b=False)
    example = replace(EXAMPLE, clusters=sorted_clusters([ADA[:2], BOB[:1]]), pronoun=question)
    task, _, tokenizer = make([example])
    [unit] = make_training_units(example, replace(task.settings, max_length=64), tokenizer)
    assert len(unit[0].values["given"]) == 3
    assert unit[0].counts["mentions"] == 0
    assert len(task.features(example, tokenizer, training=False)[0].values["given"]) == 0


def test_pairs_are_scored_by_their_own_features(make: Make) -> None:
    """What is computed once for each mention, and chosen, is for each pair what the definition says (Lee et al. 2018,
    section 4)."""
    speakers = tuple(LabelledSpan(start, start + 20, name) for start, name in ((0, "x"), (21, "y"), (42, "x")))
    example = replace(repeated(2), genre="news", speakers=speakers)
    task, model, tokenizer = make([example, replace(EXAMPLE, genre="talk")], top_spans_per_word=1.0, max_antecedents=7)
    model.eval()
    windows = task.features(example, tokenizer, training=False)
    batch, scores = scored_batch(model, [windows])
    speaker = torch.cat([torch.from_numpy(window.values["speakers"]) for window in windows])
    first, last = model.reduce(model.encode(batch), batch).chunk(2, 1)
    mentions, pairs = scores["mentions"], model.pairs
    assert pairs.speakers is not None
    assert pairs.genres is not None
    vectors = model.mentions.represent(first, last, mentions)
    edges = [1, 2, 3, 4, 5, 8, 16, 32, 64]
    seen = set()
    for mention, places in enumerate(scores["antecedents"].tolist()):
        for k, place in enumerate(places):
            if place < 0:
                continue
            mine, other = int(speaker[mentions[mention, 0]]), int(speaker[mentions[place, 0]])
            same = 0 if 0 in (mine, other) else 1 + (mine == other)
            seen.add(same)
            distance = sum(mention - place >= edge for edge in edges)
            features = (pairs.distances.weight[distance], pairs.speakers.weight[same], pairs.genres.weight[1])
            a, b = vectors[mention], vectors[place]
            hidden = pairs.from_mention(a) + pairs.from_antecedent(b) + pairs.from_product(a * b)
            fine = pairs.output((hidden + pairs.from_features(torch.cat(features))).relu())
            expected = fine + pairs.coarse(a) @ b + scores["mention_scores"][[mention, place]].sum()
            torch.testing.assert_close(scores["antecedent_scores"][mention, 1 + k], expected[0], rtol=1e-4, atol=1e-4)
    assert seen == {0, 1, 2}


def test_given_mentions_do_not_move_the_threshold_of_singletons(make: Make) -> None:
    oslo = spans_of(TEXT, ("Oslo", 1))
    found = replace(EXAMPLE, clusters=sorted_clusters([ADA, BOB, BOOK, oslo]))
    given_ones = replace(found, id="given", mentions=(*ADA, *oslo))
    task, model, tokenizer = make([found])
    alone, both = (
        task.calibrate(list(Predictor(model, task, tokenizer, device="cpu", precision="fp32").score(examples)))
        for examples in ([found], [found, given_ones])
    )
    assert alone.settings.mention_threshold == both.settings.mention_threshold != 0


def test_kept_mentions_know_their_right_clusters(make: Make) -> None:
    task, model, tokenizer = make(top_spans_per_word=9.0)
    [scored] = Predictor(model, task, tokenizer, device="cpu", precision="fp32").score([EXAMPLE])
    assert isinstance(scored, Scored)
    kept = kept_mentions(scored)
    clusters = gold_clusters(kept, EXAMPLE)
    assert sorted(np.bincount(clusters[clusters >= 0]).tolist()) == [2, 4, 4]
    assert {kept.span(place) for place in np.flatnonzero(clusters >= 0)} == {*ADA, *BOB, *BOOK}


@given(
    scores=st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0]), min_size=1, max_size=12),
    data=st.data(),
)
def test_no_other_threshold_is_better(scores: list[float], data: st.DataObject) -> None:
    right = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))))
    array = np.array(scores)

    def f1(threshold: float) -> float:
        taken = array >= threshold
        return float(2 * (taken & right).sum() / max(taken.sum() + right.sum(), 1))

    best = best_threshold(array, right)
    assert (
        all(f1(best) >= f1(other) - 1e-12 for other in (*scores, min(scores) - 1, max(scores) + 1)) or not right.any()
    )


def test_genres_and_speakers_are_learned_where_there_are_any(make: Make) -> None:
    task, model, _ = make()
    assert model.pairs.genres is None
    assert model.pairs.speakers is None
    from spanbert.spans import LabelledSpan

    spoken = replace(EXAMPLE, genre="story", speakers=(LabelledSpan(0, 20, "Eve"), LabelledSpan(21, 53, "Ada")))
    task, model, tokenizer = make([spoken])
    assert task.settings.genres == ("story",)
    assert task.settings.has_speakers
    windows = make_windows(replace(spoken, genre="other"), task.settings, tokenizer, training=False)
    assert windows[0].values["genre"].tolist() == [0]
    speakers = np.concatenate([window.values["speakers"] for window in windows]).tolist()
    assert sorted(set(speakers)) == [0, 1, 2]
    assert speakers[:6] == [1] * 6
    task, model, _ = make([spoken], speakers=False)
    assert model.pairs.speakers is None
