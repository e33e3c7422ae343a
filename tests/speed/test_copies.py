"""How much is in memory at once, counted: the corpus stays on disk, and prediction reads no further than it must."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counted_runs import Run
from operation_counter import LiveMost, TokenizerCalls
from tiny_finetuning import no_picture, read_records, write_records

from spanbert import PrepareConfig, PretrainConfig, prepare, pretrain
from spanbert.prediction_input import InputForm
from spanbert.prediction_input import read_records as records_of
from spanbert.prediction_stream import answer_records
from spanbert.read_summary import FileSummary
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import MaskedCorpus, PretrainingData, SingleSequences
from spanbert.tasks.pretraining.masking import MaskingConfig


def prepared(text: Path, tokenizer: Path, folder: Path, times: int) -> Corpus:
    """The text so many times over, prepared in this process."""
    source = folder / f"{times}.jsonl"
    source.write_text(text.read_text(encoding="utf-8") * times, encoding="utf-8")
    output = folder / f"corpus-{times}"
    return prepare(PrepareConfig(inputs=(str(source),), output=output, tokenizer=str(tokenizer), workers=1, quiet=True))


@pytest.fixture(scope="module")
def large_corpus(text: Path, whole_corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Some megabytes."""
    return prepared(text, whole_corpus.path / "tokenizer", tmp_path_factory.mktemp("large"), 24)


@pytest.fixture
def traced() -> Iterator[Callable[[], tuple[int, int]]]:
    """A function that gives the most bytes that Python and numpy held since it was last called, and those they hold,
    both beyond what they held at first. Mapped files are not among them."""
    tracemalloc.start()
    first = tracemalloc.get_traced_memory()[0]

    def since() -> tuple[int, int]:
        held, most = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return most - first, held - first

    yield since
    tracemalloc.stop()


def test_prepare_needs_as_much_memory_for_more_text(
    text: Path, whole_corpus: Corpus, tmp_path: Path, traced: Callable[[], tuple[int, int]]
) -> None:
    tokenizer = whole_corpus.path / "tokenizer"
    prepared(text, tokenizer, tmp_path, 1)
    traced()
    prepared(text, tokenizer, tmp_path, 5)
    few = traced()[0]
    prepared(text, tokenizer, tmp_path, 10)
    many = traced()[0]
    assert many <= 1.15 * few, f"{few:,} {many:,}"


def test_opening_and_masking_copy_no_corpus(large_corpus: Corpus, traced: Callable[[], tuple[int, int]]) -> None:
    Corpus.open(large_corpus.path).verify()  # imports count as memory too
    num_bytes = large_corpus.pieces.nbytes + large_corpus.word_starts.nbytes
    assert num_bytes > 2_000_000
    traced()
    corpus = Corpus.open(large_corpus.path)
    corpus.verify()
    assert traced()[0] < 0.25 * num_bytes
    held_out = corpus.held_out_documents(0.1, 0)
    blocks = SingleSequences(corpus, 128, ~held_out)
    most, held = traced()
    assert most < 0.8 * num_bytes, f"{most / num_bytes:.2f}"
    assert held < 0.1 * num_bytes, f"{held / num_bytes:.2f}"
    _ = corpus.tokenizer
    masked = MaskedCorpus(corpus, blocks, MaskingConfig(), micro_batch_pieces=8192, sbo_positions=20, seed=0)
    data = PretrainingData(masked, 32, seed=0)
    held = traced()[1]
    for step in range(12):
        data.micro_batches(step, 0, 1)
    most, after = traced()
    assert most - held < 0.2 * num_bytes, f"{(most - held) / num_bytes:.2f}"
    assert after - held < 0.05 * num_bytes, f"{(after - held) / num_bytes:.2f}"


def test_a_whole_pretraining_run_copies_no_corpus(
    whole_corpus: Corpus,
    large_corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    traced: Callable[[], tuple[int, int]],
) -> None:
    monkeypatch.setattr("spanbert.tasks.pretraining.pretrain.plot_history", no_picture)

    def run(name: str, corpus: Corpus) -> int:
        traced()
        pretrain(PretrainConfig(
            corpus=corpus.path, output=tmp_path / name, layers=1, width=32, heads=2, sequence_length=128,
            max_positions=128, batch_size=8, steps=2, max_validation_blocks=8, precision="fp32", device="cpu",
            quiet=True,
        ))  # fmt: skip
        return traced()[0]

    run("imports", whole_corpus)  # what is imported when it is first used counts as memory too
    small = run("small", whole_corpus)
    large = run("large", large_corpus)
    added = large_corpus.pieces.nbytes + large_corpus.word_starts.nbytes
    assert large - small < 0.8 * added, f"{small:,} {large:,} {(large - small) / added:.2f}"


@pytest.mark.parametrize("annotated", [True, False])  # there are two ways to encode, with and without offsets
def test_prepare_hands_the_tokenizer_many_texts_at_a_time(
    annotated: bool, text: Path, whole_corpus: Corpus, tmp_path: Path
) -> None:
    records = read_records(text)
    plain = [{"text": record["text"]} for record in records]
    source = write_records(tmp_path / "text.jsonl", records if annotated else plain)
    with TokenizerCalls() as calls:
        corpus = prepared(source, whole_corpus.path / "tokenizer", tmp_path, 3)
    assert 0 < calls.number <= 10, calls.number
    assert corpus.num_lines > 500
    assert bool(corpus.annotation_kinds) == annotated


def test_prediction_takes_no_more_examples_than_it_looks_ahead(finetuned: Callable[[str], Run], tmp_path: Path) -> None:
    run = finetuned("classification")
    predictor = run.with_batches_of(64)
    lines = run.train.read_text(encoding="utf-8").splitlines(keepends=True)[:32]
    kind = type(run.examples(run.train)[0])
    most = []
    for times in (4, 10):
        file = tmp_path / f"{times}.jsonl"
        file.write_text("".join(lines * times), encoding="utf-8")
        live, number = LiveMost(kind), 0
        already = live.look()
        for answer in answer_records(
            predictor, records_of(predictor.task, str(file), InputForm(), FileSummary(source=file.name))
        ):
            number += 1
            del answer
            if number % 97 == 1:
                live.look()
        assert number == times * len(lines)
        most.append(live.most - already)
    few, many = most
    assert 0 < many <= 1.2 * few, f"{few} {many}"
    assert many < 5 * len(lines), many
