import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from spanbert.errors import ConfigurationError, CorpusError
from spanbert.tasks.pretraining.corpus import Corpus, piece_type
from spanbert.tasks.pretraining.corpus_writer import CorpusWriter, EncodedDocuments
from spanbert.tokenization import PieceTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PieceTokenizer:
    return PieceTokenizer.train(["one two three four five six seven eight nine ten"] * 3, vocab_size=100)


def documents(
    document_lengths: list[int], *, first: int = 5, spans: list[tuple[int, int]] | None = None, kinds: str = ""
) -> EncodedDocuments:
    """Documents of one line each; every third piece continues a word; the kinds are one letter each."""
    num_pieces = sum(document_lengths)
    return EncodedDocuments(
        pieces=np.arange(first, first + num_pieces),
        word_starts=np.arange(num_pieces) % 3 != 2,
        line_lengths=np.array(document_lengths),
        document_lengths=np.array(document_lengths),
        annotation_spans=np.array(spans or [], dtype=np.int64).reshape(-1, 2),
        annotation_kinds=list(kinds),
        counts={"num_text_bytes": 10 * num_pieces},
    )


def write(folder: Path, tokenizer: PieceTokenizer, *batches: EncodedDocuments, overwrite: bool = False) -> Corpus:
    with CorpusWriter(folder, overwrite=overwrite) as writer:
        writer.start(tokenizer)
        for batch in batches:
            writer.append(batch)
        return writer.commit({"tokenizer": {"source": "a test"}})


# Reading what was written


def test_what_was_written_is_read(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    write(tmp_path / "c", tokenizer, documents([4, 2]), documents([3], first=40))
    corpus = Corpus.open(tmp_path / "c", tokenizer.fingerprint)
    assert corpus.pieces.tolist() == [5, 6, 7, 8, 9, 10, 40, 41, 42]
    assert corpus.pieces.dtype == np.uint16
    assert isinstance(corpus.pieces, np.memmap)
    assert corpus.word_starts.tolist() == [True, True, False] * 3
    assert corpus.line_ends.tolist() == corpus.document_ends.tolist() == [4, 6, 9]
    assert corpus.piece_counts.tolist() == [int(number in corpus.pieces) for number in range(tokenizer.vocab_size)]
    assert (corpus.num_documents, corpus.num_lines, corpus.num_words, corpus.num_pieces) == (3, 3, 6, 9)
    assert corpus.vocab_size == tokenizer.vocab_size
    assert corpus.tokenizer.fingerprint == tokenizer.fingerprint
    corpus.verify()
    with pytest.raises(ValueError, match="read-only"):
        corpus.pieces[0] = 1


def test_the_description_tells_counts_and_size(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    description = write(tmp_path / "c", tokenizer, documents([4, 2])).describe()
    assert description["kind"] == "corpus"
    assert description["counts"]["num_text_bytes"] == 60
    assert description["counts"]["longest_line"] == 4
    assert description["counts"]["num_unknown_pieces"] == 0
    assert description["tokenizer"]["source"] == "a test"
    files = [path for path in (tmp_path / "c").rglob("*") if path.is_file() and path.name != "manifest.json"]
    assert description["num_bytes"] == sum(path.stat().st_size for path in files)
    json.dumps(description)


def test_large_vocabularies_take_four_bytes_a_piece() -> None:
    assert [np.dtype(piece_type(size)).itemsize for size in (1 << 16, (1 << 16) + 1)] == [2, 4]


def test_annotations_come_by_kind_and_without_overlaps(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    spans = [(4, 6), (0, 2), (0, 3), (2, 5), (1, 2), (5, 6)]
    batch = documents([6], spans=spans, kinds="aaaaba")
    corpus = write(tmp_path / "c", tokenizer, batch, documents([6], spans=spans, kinds="cccccb"))
    assert corpus.annotation_kinds == ("a", "b", "c")
    assert corpus.annotations("a").tolist() == [[0, 3], [4, 6]]
    assert corpus.annotations("b").tolist() == [[1, 2], [11, 12]]
    assert corpus.annotations("c").tolist() == [[6, 9], [10, 12]]
    with pytest.raises(CorpusError, match=r"'entity' \(there are: a, b, c\)"):
        corpus.annotations("entity")


# Documents held out


def test_held_out_documents_depend_on_the_seed_alone(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    corpus = write(tmp_path / "c", tokenizer, *[documents([1] * 50)] * 4)
    tenth = corpus.held_out_documents(0.1, seed=1)
    assert tenth.shape == (200,)
    assert tenth.sum() == 20
    assert (tenth == Corpus.open(tmp_path / "c").held_out_documents(0.1, seed=1)).all()
    assert (tenth != corpus.held_out_documents(0.1, seed=2)).any()
    fifth = corpus.held_out_documents(0.2, seed=1)
    assert fifth.sum() == 40
    assert fifth[tenth].all()
    assert corpus.held_out_documents(0.0, seed=1).sum() == 0
    assert corpus.held_out_documents(0.0001, seed=1).sum() == 1
    assert corpus.held_out_documents(0.9999, seed=1).sum() == 199
    for fraction in (-0.1, 1.0):
        with pytest.raises(ConfigurationError, match="fraction"):
            corpus.held_out_documents(fraction, seed=1)


def test_the_only_document_is_not_held_out(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    assert write(tmp_path / "c", tokenizer, documents([5])).held_out_documents(0.3, seed=0).tolist() == [False]


# What is refused


def test_another_tokenizer_is_refused_with_both_fingerprints(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    write(tmp_path / "c", tokenizer, documents([4]))
    with pytest.raises(CorpusError, match=rf"another tokenizer.*{tokenizer.fingerprint}.*f00.*--tokenizer"):
        Corpus.open(tmp_path / "c", "f00")


def test_what_is_no_whole_corpus_is_refused(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    write(tmp_path / "c", tokenizer, documents([4]))
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(CorpusError, match="not a prepared corpus"):
            Corpus.open(folder)
    manifest = (tmp_path / "c" / "manifest.json").read_text()
    for change, message in ((('"format_version": 1', '"format_version": 9'), "format 9"), (("{", "["), "damaged")):
        (tmp_path / "c" / "manifest.json").write_text(manifest.replace(*change, 1))
        with pytest.raises(CorpusError, match=message):
            Corpus.open(tmp_path / "c")
    (tmp_path / "c" / "manifest.json").write_text(manifest)
    with (tmp_path / "c" / "pieces.bin").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CorpusError, match=r"pieces\.bin has 9 bytes instead of 8"):
        Corpus.open(tmp_path / "c")
    (tmp_path / "c" / "pieces.bin").unlink()
    with pytest.raises(CorpusError, match=r"pieces\.bin is missing"):
        Corpus.open(tmp_path / "c")


def test_changed_bytes_are_found_by_their_hash(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    corpus = write(tmp_path / "c", tokenizer, documents([4]))
    for name in ("line_ends.bin", "tokenizer/vocab.txt"):
        path = tmp_path / "c" / name
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
    with pytest.raises(CorpusError, match=r"damaged in line_ends\.bin, tokenizer/vocab\.txt:"):
        corpus.verify()


def test_a_changed_copy_of_the_tokenizer_is_found(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    corpus = write(tmp_path / "c", tokenizer, documents([4]))
    config = tmp_path / "c" / "tokenizer" / "tokenizer_config.json"
    config.write_text(config.read_text().replace("false", "true", 1))
    with pytest.raises(CorpusError, match="was changed"):
        _ = corpus.tokenizer


# A whole corpus or none


def test_without_commit_nothing_is_left(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    def interrupted() -> None:
        with CorpusWriter(tmp_path / "c") as writer:
            writer.start(tokenizer)
            writer.append(documents([4]))
            assert not (tmp_path / "c").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        writer.start(tokenizer)
        writer.append(documents([4]))
        shutil.copytree(writer.folder, tmp_path / "copy")
    (tmp_path / "copy").rename(writer.folder)
    corpus = write(tmp_path / "c", tokenizer, documents([2]))
    assert corpus.num_pieces == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]


def test_two_runs_do_not_write_the_same_corpus(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        writer.start(tokenizer)
        with pytest.raises(CorpusError, match="another run"), CorpusWriter(tmp_path / "c"):
            pass
        writer.append(documents([4]))
        assert writer.commit({}).num_pieces == 4


def test_only_a_corpus_is_replaced_and_only_on_request(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    write(tmp_path / "c", tokenizer, documents([4]))
    with pytest.raises(CorpusError, match="--overwrite"):
        write(tmp_path / "c", tokenizer, documents([2]))
    assert write(tmp_path / "c", tokenizer, documents([2]), overwrite=True).num_pieces == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c"]

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "mine" / "manifest.json").write_text("{}")
    (tmp_path / "file").write_text("too")
    (tmp_path / ".new.partial").mkdir()
    (tmp_path / ".new.partial" / "thesis.txt").write_text("more work")
    for name in ("mine", "file", "new"):
        with pytest.raises(CorpusError, match=r"not a corpus|in the way"):
            write(tmp_path / name, tokenizer, documents([2]), overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()
    assert (tmp_path / ".new.partial" / "thesis.txt").exists()
    assert (tmp_path / "file").read_text() == "too"


def test_an_empty_folder_is_taken(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    (tmp_path / "c").mkdir()
    assert write(tmp_path / "c", tokenizer, documents([4])).num_pieces == 4


def test_the_old_corpus_survives_a_failure_and_a_stop_between_the_renames(
    tmp_path: Path, tokenizer: PieceTokenizer
) -> None:
    write(tmp_path / "c", tokenizer, documents([4]))
    with pytest.raises(CorpusError, match="no pieces"):
        write(tmp_path / "c", tokenizer, overwrite=True)
    assert Corpus.open(tmp_path / "c").num_pieces == 4
    (tmp_path / "c").rename(tmp_path / ".c.replaced")
    with pytest.raises(CorpusError, match="--overwrite"):
        write(tmp_path / "c", tokenizer, documents([2]))
    assert Corpus.open(tmp_path / "c").num_pieces == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    full = os.open("/dev/full", os.O_WRONLY)

    def write_to_full_disk() -> None:
        with CorpusWriter(tmp_path / "c") as writer:
            writer.start(tokenizer)
            os.dup2(full, writer._files["pieces"]._file.fileno())
            writer.append(documents([50]))
            writer.commit({})

    with pytest.raises(CorpusError, match=r"No space left.*no corpus was made"):
        write_to_full_disk()
    os.close(full)
    assert list(tmp_path.iterdir()) == []


def test_too_many_kinds_of_annotations_are_an_error(tmp_path: Path, tokenizer: PieceTokenizer) -> None:
    batch = documents([50], spans=[(0, 1)] * 300, kinds="".join(map(chr, range(300))))
    with pytest.raises(CorpusError, match="more than 256 kinds"):
        write(tmp_path / "c", tokenizer, batch)
