import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from spanbert.documents import Annotation, Document
from spanbert.errors import CheckpointError, ConfigurationError, CorpusError, InputError
from spanbert.tasks.pretraining import document_encoding, worker_pool
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.document_encoding import DocumentEncoder, EncodingSettings
from spanbert.tasks.pretraining.prepare import PrepareConfig, prepare, run
from spanbert.tasks.pretraining.text_sample import sample_text
from spanbert.tasks.pretraining.worker_pool import encode_documents
from spanbert.tokenization import PieceTokenizer

DOCUMENTS = [
    ["The river Aldra rises in the hills above Tormund.", "It flows past three old mills and a weir."],
    ["北京的天气很好，我们去公园散步。", "研究人员发现了新的方法。"],
    ["東京は日本の首都です。", "Mixed 中文 and English, with emoji 🙂 and 👩‍🔬."],
    ["Dr. Okafor's team measured the river's depth: 4.5 metres, not 3.9!"],
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """The documents five times over, a blank line between them."""
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join("\n".join(lines) for lines in DOCUMENTS * 5), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    lines = [line for document in DOCUMENTS for line in document]
    PieceTokenizer.train(lines * 3, vocab_size=400, character_coverage=1.0).save(folder)
    return folder


def config(text: Path | str, tokenizer: Path | None = None, **options: object) -> PrepareConfig:
    given = {"inputs": (str(text),), "output": Path(str(text)).parent / "corpus", "quiet": True, "workers": 1}
    if tokenizer is not None:
        given["tokenizer"] = str(tokenizer)
    return PrepareConfig(**(given | options))


def pieces_of(corpus: Corpus, start: int = 0, end: int | None = None) -> list[str]:
    return [corpus.tokenizer.piece(int(number)) for number in corpus.pieces[start:end]]


# What goes in comes out


def test_the_corpus_holds_every_piece_of_every_line_in_order(text: Path) -> None:
    corpus = prepare(config(text, vocab_size=300))
    lines = [line for document in DOCUMENTS * 5 for line in document]
    encodings = [corpus.tokenizer.encode(line) for line in lines]
    assert corpus.pieces.tolist() == [number for encoding in encodings for number in encoding.ids]
    assert corpus.word_starts.tolist() == [start for encoding in encodings for start in encoding.word_starts]
    assert corpus.line_ends.tolist() == np.cumsum([len(encoding) for encoding in encodings]).tolist()
    lines_of_documents = np.cumsum([len(document) for document in DOCUMENTS * 5])
    assert corpus.document_ends.tolist() == corpus.line_ends[lines_of_documents - 1].tolist()
    counts = corpus.manifest["counts"]
    assert counts["longest_line"] == max(map(len, encodings))
    assert counts["num_text_bytes"] == text.stat().st_size - 2 * (len(DOCUMENTS) * 5 - 1)
    assert counts["num_unknown_pieces"] == corpus.pieces.tolist().count(corpus.tokenizer.unk_id)
    corpus.verify()


def test_the_files_are_the_same_for_any_number_of_workers(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "_BATCH_CHARACTERS", 200)
    for workers in (1, 3):
        prepare(config(text, output=tmp_path / f"by-{workers}", workers=workers, vocab_size=300))
    for path in (path for path in (tmp_path / "by-1").rglob("*") if path.is_file()):
        assert (tmp_path / "by-3" / path.relative_to(tmp_path / "by-1")).read_bytes() == path.read_bytes()
    assert not psutil.Process().children()[1:]  # one is Python's own resource tracker


def test_a_tokenizer_is_reused(text: Path, tokenizer_folder: Path) -> None:
    corpus = prepare(config(text, tokenizer_folder))
    assert corpus.tokenizer_fingerprint == PieceTokenizer.load(tokenizer_folder).fingerprint
    assert corpus.manifest["tokenizer"]["source"] == str(tokenizer_folder)


def test_lines_and_documents_without_pieces_are_counted(text: Path, tokenizer_folder: Path) -> None:
    text.write_text("The river\n\u200b\n\n\u200b\u200d\n\nΩΩ Ж\n\nthe hills\n")
    corpus = prepare(config(text, tokenizer_folder))
    assert (corpus.num_documents, corpus.num_lines) == (3, 3)
    counts = corpus.manifest["counts"]
    assert counts["num_lines_without_pieces"] == 2
    assert counts["num_documents_without_pieces"] == 1
    assert counts["num_documents_of_unknown_pieces"] == 1


def test_text_without_any_piece_is_an_error(text: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    text.write_text("\u200b\n")
    with pytest.raises(CorpusError, match="no pieces at all"):
        prepare(config(text, tokenizer_folder))
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_very_long_lines_give_the_same_pieces_in_parts(
    text: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = " ".join(line for document in DOCUMENTS for line in document)
    documents = [Document(line, "", 1, (Annotation(130, 137, "x"),)), Document("我" * 100, "", 2)]
    encoder = DocumentEncoder(EncodingSettings(tokenizer_folder))
    whole = encoder.encode(documents)
    monkeypatch.setattr(document_encoding, "_PART_CHARACTERS", 70)
    monkeypatch.setattr(document_encoding, "_GROUP_CHARACTERS", 150)
    in_parts = encoder.encode(documents)
    for name in ("pieces", "word_starts", "line_lengths", "document_lengths", "annotation_spans"):
        assert getattr(in_parts, name).tolist() == getattr(whole, name).tolist()


# Words and annotations


def test_jieba_gives_the_words(text: Path) -> None:
    corpus = prepare(config(text, segmenter="jieba", vocab_size=300))
    start = corpus.document_ends[0]
    starts = np.flatnonzero(corpus.word_starts[start : corpus.line_ends[2]]) + start
    words = ["".join(pieces_of(corpus, begin, end)) for begin, end in itertools.pairwise(starts)]
    assert words[:3] == ["北京", "的", "天气"]
    assert "公园" in words
    assert corpus.manifest["options"]["segmenter"] == "jieba"


def test_annotations_become_spans_of_whole_words(tmp_path: Path, tokenizer_folder: Path) -> None:
    lines = ["the river Aldra 🙂 in Tormund", "三 old mills\u200b"]
    first = "\n".join(lines)
    spans = [
        [first.index("river"), first.index(" 🙂"), "entity"],
        [first.index("rmund"), first.index("\n"), "entity"],  # widened to the word
        [first.index("Tormund"), first.index(" old"), "place"],  # over the line's end
        [len(first) - 1, len(first), "entity"],  # only a character that the tokenizer drops
    ]
    records = [
        {"text": first, "spans": spans},
        {"text": "no annotation"},
        {"text": "a weir", "spans": [[2, 6, "entity"]]},
    ]
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    corpus = prepare(config(path, tokenizer_folder))
    assert corpus.annotation_kinds == ("entity", "place")

    def texts(kind: str) -> list[str]:
        return [corpus.tokenizer.decode(corpus.pieces[start:end]) for start, end in corpus.annotations(kind)]

    assert texts("entity") == ["river Aldra", "Tormund", "weir"]
    assert texts("place") == ["Tormund [UNK]"]
    counts = corpus.manifest["counts"]
    assert (counts["num_annotations"], counts["num_annotations_without_pieces"]) == (4, 1)


def test_spacy_annotations_are_added_to_those_of_the_documents(
    tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first word of each line, as a spaCy pipeline would find it.
    monkeypatch.setattr(
        document_encoding, "spacy_annotations", lambda name: lambda text: [Annotation(0, text.index(" "), name)]
    )
    encoder = DocumentEncoder(EncodingSettings(tokenizer_folder, annotate="fake"))
    encoded = encoder.encode(
        [Document("the river\nold mills", "", 1, (Annotation(4, 9, "given"),)), Document("a b", "", 3)]
    )
    assert encoded.annotation_kinds == ["given", "fake", "fake", "fake"]
    assert encoded.annotation_spans.tolist() == [[1, 2], [0, 1], [2, 3], [4, 5]]


# The vocabulary's sample


def some_documents(num: int) -> Iterator[Document]:
    for number in range(num):
        yield Document(f"{number:09d} ", "", number + 1)


def test_a_sample_is_bounded_in_order_and_depends_on_the_seed() -> None:
    sample = sample_text(some_documents(10_000), seed=3, max_characters=1005)
    assert len(sample.texts) == 100
    assert sample.texts == sorted(sample.texts)
    assert (sample.num_documents, sample.num_characters) == (10_000, 100_000)
    assert sample.texts == sample_text(some_documents(10_000), seed=3, max_characters=1005).texts
    assert sample.texts != sample_text(some_documents(10_000), seed=4, max_characters=1005).texts
    assert 3_500 < np.mean([int(text) for text in sample.texts]) < 6_500


def test_a_sample_holds_all_that_fits_and_one_document_at_least() -> None:
    assert len(sample_text(some_documents(50), seed=0, max_characters=500).texts) == 50
    assert len(sample_text(some_documents(3), seed=0, max_characters=5).texts) == 1


def test_standard_input_can_be_learned_from_and_encoded(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_file = prepare(config(text, vocab_size=300))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    from_stdin = prepare(config("-", output=tmp_path / "other", vocab_size=300))
    assert from_stdin.pieces.tolist() == from_file.pieces.tolist()
    assert from_stdin.manifest["reading"]["files"][0]["source"] == "<stdin>"
    assert sorted(path.name for path in from_stdin.path.iterdir()) == sorted(p.name for p in from_file.path.iterdir())


# What is shown


def test_the_summary_tells_what_was_read_and_made(
    text: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config(text, tokenizer_folder, quiet=False, json=True)) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    corpus = Corpus.open(figures["path"])
    assert figures["counts"]["num_pieces"] == corpus.num_pieces
    assert figures["pieces_per_word"] == pytest.approx(corpus.num_pieces / corpus.num_words)
    assert figures["bytes_per_piece"] == pytest.approx(figures["counts"]["num_text_bytes"] / corpus.num_pieces)
    assert figures["unknown_share"] == pytest.approx(corpus.piece_counts[1] / corpus.num_pieces)
    assert figures["reading"]["files"][0]["source"] == str(text)
    for expected in (
        "read 20 documents, 35 lines",
        f"corpus          20 documents, 35 lines, {corpus.num_words:,} words, {corpus.num_pieces:,} pieces",
        f"reused from {tokenizer_folder}",
        f"longest line    {figures['counts']['longest_line']} pieces",
    ):
        assert expected in err


def test_the_summary_tells_what_was_left_out(
    tmp_path: Path, tokenizer_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.jsonl"
    records = [{"text": "the river", "spans": [[0, 3, "entity"]]}, {"text": "\u200b"}, {"text": "Ω"}, {"no": "text"}]
    path.write_text("\n".join(json.dumps(record) for record in records))
    assert run(config(path, tokenizer_folder, quiet=False, bad_records="skip")) == 0
    err = capsys.readouterr().err
    assert "skipped: 1 record" in err
    assert "1 lines and 1 documents without a piece" in err
    assert "only [UNK]      1 documents (kept)" in err
    assert "annotations     1: entity" in err


def test_quiet_is_quiet(text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config(text, vocab_size=300)) == 0
    assert capsys.readouterr() == ("", "")


# Errors


def test_options_that_contradict_each_other_are_errors(text: Path, tokenizer_folder: Path) -> None:
    for options in ({"vocab_size": 300}, {"lowercase": True}, {"min_frequency": 3}):
        with pytest.raises(ConfigurationError, match=f"--{next(iter(options)).replace('_', '-')} is for learning"):
            prepare(config(text, tokenizer_folder, **options))
    with pytest.raises(ConfigurationError, match="--workers"):
        prepare(config(text, tokenizer_folder, workers=0))


def test_errors_leave_nothing_behind(text: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        prepare(config(text, tmp_path / "no-tokenizer"))
    with pytest.raises(InputError):
        prepare(config(tmp_path / "no-text.txt", tokenizer_folder))
    text.write_bytes(b"fine\n\xff\n")
    with pytest.raises(InputError, match="line 2"):
        prepare(config(text, tokenizer_folder))
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_errors_in_a_worker_are_those_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_BATCH_CHARACTERS", 10)
    with pytest.raises(CheckpointError, match="no-tokenizer"):
        list(encode_documents(some_documents(20), EncodingSettings(tmp_path / "no-tokenizer"), 2))


def test_a_killed_worker_is_a_clear_error(tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_BATCH_CHARACTERS", 10)
    encoded = encode_documents(some_documents(10_000), EncodingSettings(tokenizer_folder), 2)
    next(encoded)
    workers = [child for child in psutil.Process().children() if "resource_tracker" not in " ".join(child.cmdline())]
    workers[0].kill()
    with pytest.raises(CorpusError, match="a worker process died"):
        list(encoded)


PROGRAM = """
import sys
from spanbert.tasks.pretraining import worker_pool
from spanbert.tasks.pretraining.prepare import PrepareConfig, run
from pathlib import Path
if __name__ == "__main__":
    worker_pool._BATCH_CHARACTERS = 100
    folder = Path(sys.argv[1])
    run(PrepareConfig(inputs=("-",), output=folder / "corpus", tokenizer=sys.argv[2], workers=2, quiet=True))
"""


def start_endless_run(folder: Path, tokenizer: Path) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """Start a run that waits for more input after some batches; return it and its child processes."""
    (folder / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, folder / "program.py", folder, tokenizer],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A test run in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdin is not None
    process.stdin.write(b"the river flows past the mills\n\n" * 2_000)
    process.stdin.flush()
    pieces = folder / ".corpus.partial" / "pieces.bin"
    deadline = time.monotonic() + 30
    while not (pieces.exists() and pieces.stat().st_size):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    return process, psutil.Process(process.pid).children(recursive=True)


def are_gone(processes: list[psutil.Process]) -> bool:
    """Wait until none of the processes runs; one that has ended and that nobody has asked about yet does not."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + 10
    while any(runs(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, tokenizer_folder: Path) -> None:
    process, children = start_endless_run(tmp_path, tokenizer_folder)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers
    _, err = process.communicate(timeout=20)
    assert b"interrupted: no corpus was made" in err
    assert err.count(b"Traceback") == 1  # that of this program, which does not catch it; none of the workers
    assert are_gone(children)
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_run_killed_at_once_leaves_no_workers_and_no_corpus(
    text: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    process, children = start_endless_run(tmp_path, tokenizer_folder)
    process.kill()
    process.communicate()
    assert are_gone(children)
    assert not (tmp_path / "corpus").exists()
    assert (tmp_path / ".corpus.partial").exists()
    prepare(config(text, tokenizer_folder)).verify()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "program.py", "text.txt"]
