"""From text to windows, through scores, back to characters of the text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_tokenizer

from spanbert.errors import ConfigurationError
from spanbert.task import Scored, Window
from spanbert.tasks.question_answering.config import QuestionAnsweringSettings
from spanbert.tasks.question_answering.examples import Answer, QuestionExample
from spanbert.tasks.question_answering.task import QuestionAnswering
from spanbert.tokenization import PieceTokenizer

WORDS = ["the", "capital", "of", "France", "is", "Paris", "and", "a", "patient", "with", "stenosis", "needs", "stent"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PieceTokenizer:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def characters() -> PieceTokenizer:
    """Knows characters of many kinds, and lowers case and strips accents."""
    return PieceTokenizer.train(["abc ABC äöü 中文 日本 👍 . , é"] * 3, vocab_size=120, lowercase=True, min_frequency=1)


def task(**options: Any) -> QuestionAnswering:
    return QuestionAnswering(QuestionAnsweringSettings(**{"max_length": 16, "stride": 4, **options}))


def example(
    *contexts: str, question: str = "the capital", answers: tuple[Answer, ...] | None = None
) -> QuestionExample:
    return QuestionExample(id="q", question=question, contexts=contexts, answers=answers)


def random_scores(windows: list[Window], seed: int = 0) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    return [
        {name: generator.normal(size=len(window.pieces)).astype(np.float32) for name in ("start", "end")}
        for window in windows
    ]


def scored(made: QuestionExample, windows: list[Window], seed: int = 0) -> Scored[QuestionExample]:
    return Scored(made, windows, random_scores(windows, seed))


def sure_of(made: QuestionExample, windows: list[Window], place: tuple[int, int], document: int = 0) -> Scored[Any]:
    """Scores that point to one place of a document in every window that shows it."""
    scores = []
    for window in windows:
        start, end = np.zeros((2, len(window.pieces)), np.float32)
        if window.place.document == document:
            offsets = window.place.offsets
            start[window.place.first :][: len(offsets)][offsets[:, 0] == place[0]] = 5
            end[window.place.first :][: len(offsets)][offsets[:, 1] == place[1]] = 5
        scores.append({"start": start, "end": end})
    return Scored(made, windows, scores)


def test_a_window_is_question_and_context_with_their_segments(tokenizer: PieceTokenizer) -> None:
    [window] = task().features(example("France is Paris."), tokenizer, training=False)
    assert [tokenizer.piece(number) for number in window.pieces] == [
        *("[CLS]", "the", "capital", "[SEP]", "France", "is", "Paris", ".", "[SEP]")
    ]
    assert window.segments is not None
    assert window.segments.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert not window.positions
    assert not window.counts


def test_every_window_that_holds_the_whole_answer_points_to_it_and_others_to_cls(tokenizer: PieceTokenizer) -> None:
    context = " ".join(WORDS * 3)
    start = context.index("stenosis needs", 80)
    answer = Answer(text="stenosis needs", start=start, end=start + 14)
    windows = task().features(example(context, answers=(answer,)), tokenizer, training=True)
    held = 0
    for window in windows:
        [[first, last]] = window.positions["answer"].tolist()
        shown = window.place.offsets[0, 0] <= start and window.place.offsets[-1, 1] >= start + 14
        assert window.counts == {"span": 1}
        if not shown:
            assert (first, last) == (0, 0)
            continue
        held += 1
        offsets = window.place.offsets[first - window.place.first : last + 1 - window.place.first]
        assert (offsets[0, 0], offsets[-1, 1]) == (start, start + 14)
    assert 1 <= held < len(windows)
    unanswerable = task().features(example(context, answers=()), tokenizer, training=True)
    assert all(window.positions["answer"].tolist() == [[0, 0]] for window in unanswerable)


def test_the_first_answer_that_stands_in_a_document_is_learned(tokenizer: PieceTokenizer) -> None:
    answers = (Answer(text="Lyon"), Answer(text="is", start=2, end=4, document=1), Answer(text="a", start=0, end=1))
    made = example("a patient", ". is Paris", answers=answers)
    first, second = task().features(made, tokenizer, training=True)
    assert first.positions["answer"].tolist() == [[0, 0]]
    assert second.positions["answer"].tolist() == [[5, 5]]
    assert (first.place.document, second.place.document) == (0, 1)


@pytest.mark.parametrize("answers", [None, (Answer(text="Lyon"),), (Answer(text="\u200b", start=7, end=8),)])
def test_nothing_is_learned_from_an_answer_that_is_not_known(
    tokenizer: PieceTokenizer, answers: tuple[Answer, ...] | None
) -> None:
    [window] = task().features(example("patient\u200b", answers=answers), tokenizer, training=True)
    assert window.positions["answer"].tolist() == [[-1, -1]]
    assert window.counts == {"span": 0}


def test_a_long_question_leaves_half_of_the_window_and_the_prediction_says_so(tokenizer: PieceTokenizer) -> None:
    made = example(" ".join(WORDS * 2), question=" ".join(WORDS * 2))
    windows = task().features(made, tokenizer, training=False)
    assert all(len(window.pieces) <= 16 and window.place.first == 8 for window in windows)
    prediction = task().decode(scored(made, windows))
    assert prediction.question_pieces_cut == len(tokenizer.encode(made.question)) - 6 > 0
    assert prediction.to_json()["question_pieces_cut"] == prediction.question_pieces_cut
    assert (
        "question_pieces_cut"
        not in task().decode(scored(made, task().features(example("a"), tokenizer, training=False))).to_json()
    )


def test_documents_without_a_piece_get_no_window_unless_all_are(tokenizer: PieceTokenizer) -> None:
    made = example("\u200b", "Paris", " \n")
    [window] = task().features(made, tokenizer, training=False)
    assert window.place.document == 1
    nothing = example("\u200b")
    windows = task().features(nothing, tokenizer, training=False)
    prediction = task().decode(scored(nothing, windows))
    assert (prediction.text, prediction.answers, prediction.no_answer_probability) == ("", (), None)
    open_ = task(abstains=True).decode(scored(nothing, windows))
    assert open_.no_answer_probability == 1


any_text = st.text(
    max_size=60,
    alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("ab \u0301中👍\r\n\x00\u200b")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(any_text, min_size=1, max_size=3), any_text, st.integers(8, 20), st.integers(0, 7), st.integers(0, 99))
def test_answers_are_exact_stretches_of_their_documents(
    characters: PieceTokenizer, contexts: list[str], question: str, length: int, stride: int, seed: int
) -> None:
    made = example(*contexts, question=question)
    its_task = task(max_length=length, stride=stride, max_answer_length=4, num_answers=20)
    windows = its_task.features(made, characters, training=False)
    assert all(len(window.pieces) <= length for window in windows)
    prediction = its_task.decode(scored(made, windows, seed))
    for answer in prediction.answers:
        assert contexts[answer.document][answer.start : answer.end] == answer.text
        assert answer.text.strip() == answer.text != ""
    assert len({(answer.document, answer.text) for answer in prediction.answers}) == len(prediction.answers)
    scores = [answer.score for answer in prediction.answers]
    assert scores == sorted(scores, reverse=True)
    assert sum(answer.probability for answer in prediction.answers) <= 1 + 1e-9
    assert prediction == QuestionAnswering.prediction(prediction.to_json())
    if any(len(characters.encode(context)) for context in contexts):
        assert prediction.text == prediction.answers[0].text


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(1, 4), st.integers(10, 24), st.integers(4, 9))
def test_the_same_answer_is_found_with_any_windows(
    tokenizer: PieceTokenizer, word: int, num_words: int, length: int, stride: int
) -> None:
    context = " ".join(f"{a} {b}" for a in WORDS for b in WORDS)
    offsets = tokenizer.encode(context).offsets
    start, end = int(offsets[word, 0]), int(offsets[word + num_words - 1, 1])
    made = example(context, question="")
    its_task = task(max_length=length, stride=stride)
    prediction = its_task.decode(sure_of(made, its_task.features(made, tokenizer, training=False), (start, end)))
    assert (prediction.answers[0].start, prediction.answers[0].end, prediction.text) == (start, end, context[start:end])


def test_all_answers_up_to_the_longest_are_weighed(tokenizer: PieceTokenizer) -> None:
    context = " ".join(WORDS)
    made = example(context)
    its_task = task(max_length=32, max_answer_length=3, num_answers=20)
    windows = its_task.features(made, tokenizer, training=False)
    one = scored(made, windows)
    place, (start, end) = windows[0].place, (one.scores[0]["start"], one.scores[0]["end"])
    number = len(place.offsets)
    expected = sorted(
        (
            (float(start[place.first + i]) + float(end[place.first + j]), place.offsets[i, 0], place.offsets[j, 1])
            for i in range(number)
            for j in range(i, min(number, i + 3))
        ),
        reverse=True,
    )[:20]
    found = [(answer.score, answer.start, answer.end) for answer in its_task.decode(one).answers]
    assert found == [(pytest.approx(score), first, last) for score, first, last in expected]


def test_the_order_of_windows_decides_nothing(tokenizer: PieceTokenizer) -> None:
    made = example(" ".join(WORDS * 3), "Paris is a capital")
    windows = task().features(made, tokenizer, training=False)
    scores = random_scores(windows)
    backwards = Scored(made, windows[::-1], scores[::-1])
    assert task().decode(Scored(made, windows, scores)) == task().decode(backwards)
    zeros = [{name: np.zeros_like(array) for name, array in rows.items()} for rows in scores]
    assert task().decode(Scored(made, windows, zeros)) == task().decode(Scored(made, windows[::-1], zeros[::-1]))


def test_an_answer_in_one_of_several_documents(tokenizer: PieceTokenizer) -> None:
    made = example("the capital", "a patient needs a stent", "France")
    windows = task().features(made, tokenizer, training=False)
    prediction = task().decode(sure_of(made, windows, (18, 23), document=1))
    assert (prediction.text, prediction.answers[0].document, prediction.answers[0].start) == ("stent", 1, 18)


def test_an_accent_stays_with_its_letter(characters: PieceTokenizer) -> None:
    made = example("b ace\u0301\u0323 a")
    windows = task().features(made, characters, training=False)
    prediction = task().decode(sure_of(made, windows, (2, 7)))
    assert prediction.text == "ace\u0301\u0323"


def test_no_answer_is_decided_by_the_threshold_and_the_most_certain_window(tokenizer: PieceTokenizer) -> None:
    made = example(" ".join(WORDS * 2))
    windows = task().features(made, tokenizer, training=False)
    scores = [{name: np.zeros(len(window.pieces), np.float32) for name in ("start", "end")} for window in windows]
    for number, rows in enumerate(scores):
        rows["start"][0] = 3 + number
    scores[1]["start"][windows[1].place.first] = 2.0
    one = Scored(made, windows, scores)
    assert len(windows) > 2
    always = task().decode(one)
    assert (always.text != "", always.no_answer_probability, always.null_score) == (True, None, 3.0)
    shy = task(abstains=True).decode(one)
    assert (shy.text, shy.null_score, shy.answers[0].score) == ("", 3.0, 2.0)
    assert shy.no_answer_probability == pytest.approx(1 / (1 + np.exp(-1)))
    assert shy.confidence == shy.no_answer_probability
    bold = task(abstains=True, no_answer_threshold=1.5).decode(one)
    assert bold.text == shy.best_text == shy.answers[0].text
    assert sum(answer.probability for answer in bold.answers) <= 1 - shy.no_answer_probability


@pytest.mark.parametrize("options", [{"max_length": 7}, {"stride": 16}, {"max_answer_length": 0}, {"num_answers": 0}])
def test_options_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        task(**options)


def test_threads_share_a_task(tokenizer: PieceTokenizer) -> None:
    its_task = task()
    examples = [example(" ".join(WORDS[n % 7 :])) for n in range(40)]
    expected = [task().features(one, tokenizer, training=False)[0].pieces.tolist() for one in examples]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda one: its_task.features(one, tokenizer, training=False)[0].pieces.tolist(), examples)
        assert list(found) == expected
