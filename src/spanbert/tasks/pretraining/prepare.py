"""`spanbert prepare`: text files -> tokenizer -> memory-mapped corpus."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from spanbert.checkpoint_sources import load_tokenizer
from spanbert.documents import InputFile, ReadConfig, ReadSummary, expand_inputs, read_documents
from spanbert.errors import ConfigurationError, InputError
from spanbert.reading_progress import ReadingProgress
from spanbert.segmentation import SegmenterName
from spanbert.tasks.pretraining.corpus import TOKENIZER, Corpus
from spanbert.tasks.pretraining.corpus_writer import CorpusWriter
from spanbert.tasks.pretraining.document_encoding import EncodingSettings
from spanbert.tasks.pretraining.prepare_report import summary_figures, summary_table
from spanbert.tasks.pretraining.text_sample import sample_text
from spanbert.tasks.pretraining.worker_pool import encode_documents, num_cores
from spanbert.tokenization import PieceTokenizer
from spanbert.training.record import versions

_STDIN_COPY = "stdin"


@dataclass(frozen=True, kw_only=True)
class PrepareConfig(ReadConfig):
    """Turn text into a corpus for pre-training: read it, learn or reuse a tokenizer, write word pieces."""

    inputs: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TEXT...")]
    """Files (.txt, .jsonl, .csv, .parquet, each also .gz or .zst), folders, glob patterns, `-` for standard input."""
    output: Path
    """Folder of the corpus; it must not exist yet, be empty, or (with --overwrite) hold a corpus."""
    tokenizer: str | None = None
    """Folder or hub name of a BERT tokenizer to reuse, e.g. of the model to continue from. None: a vocabulary is
    learned from the text."""
    vocab_size: int = 16_000
    """Pieces in the vocabulary that is learned, the five special ones included; a small text may give fewer."""
    lowercase: bool = False
    """Learn a vocabulary of lower-case pieces without accents."""
    min_frequency: int = 2
    """Letters and pieces seen together fewer times than this are not joined to a longer piece."""
    add_words: Path | None = None
    """Text file with words of your field, one a line, each to become a whole piece of the vocabulary. With the
    --tokenizer of a model, `spanbert pretrain --from` that model gives them rows of their own."""
    segmenter: SegmenterName | None = None
    """Who says where the words are that masking keeps whole: `jieba` for Chinese. None: the tokenizer, for which a word
    is what stands between white space and punctuation, and every Chinese character is one."""
    annotate: str | None = None
    """Name of a spaCy pipeline (e.g. en_core_web_sm) that finds entities and noun phrases, for the masking schemes
    `entities` and `noun-phrases`. They are added to those that come with the documents."""
    workers: int | None = None
    """Processes that encode. None: one for each processor core."""
    overwrite: bool = False
    """Replace a corpus that is there already. Nothing else is ever replaced."""
    seed: int = 0
    """Chooses the documents to learn a vocabulary from where the text has more than 50 million characters."""
    quiet: bool = False
    """Show no progress and no summary."""
    json: bool = False
    """Print the summary as JSON to stdout."""


def prepare(config: PrepareConfig) -> Corpus:
    """Make a corpus and open it; the same input and options give the same files, byte for byte.

    Progress goes to stderr unless `quiet`. Scripts that call this need `if __name__ == "__main__":` around the call,
    as always where Python starts processes, or `workers=1`.

    Raises:
        ConfigurationError: Options contradict each other or are out of range.
        InputError: The text cannot be read, or there is none.
        CorpusError: The output is taken, or cannot be written, or a worker process died.
        CheckpointError: There is no such tokenizer.
        MissingDependencyError: A format, the segmenter or spaCy needs a package that is not installed.
    """
    return _prepare(config)[0]


def run(config: PrepareConfig) -> int:
    """Make a corpus and show what was read, skipped and made; returns the exit status."""
    try:
        corpus, reading = _prepare(config)
    except KeyboardInterrupt:
        print("interrupted: no corpus was made", file=sys.stderr)
        raise
    if config.json:
        print(json.dumps(summary_figures(corpus), ensure_ascii=False))
    if not config.quiet:
        print(summary_table(corpus, reading), file=sys.stderr)
    return 0


def _prepare(config: PrepareConfig) -> tuple[Corpus, ReadSummary]:
    _check(config)
    with CorpusWriter(config.output, overwrite=config.overwrite) as writer:
        files = expand_inputs(config.inputs)
        details: dict[str, Any] = {}
        if config.tokenizer is not None:
            tokenizer = load_tokenizer(config.tokenizer)
            details["tokenizer"] = {"source": config.tokenizer}
        else:
            files = [_copy_of_stdin(file, writer.folder, config) for file in files]
            tokenizer, details["tokenizer"] = _learn_vocabulary(files, config)
        if config.add_words is not None:
            details["tokenizer"]["words_added"] = _add_words(tokenizer, config.add_words)
        writer.start(tokenizer)
        settings = EncodingSettings(writer.folder / TOKENIZER, config.segmenter, config.annotate)
        reading = ReadSummary()
        with ReadingProgress("encoding", files, reading, quiet=config.quiet) as progress:
            documents = progress.follow(read_documents(files, config, reading))
            for encoded in encode_documents(documents, settings, config.workers or num_cores()):
                writer.append(encoded)
                progress.show(f"{writer.num_pieces:,} pieces")
        (writer.folder / _STDIN_COPY).unlink(missing_ok=True)
        return writer.commit(details | _record(config, reading)), reading


def _check(config: PrepareConfig) -> None:
    if config.min_frequency < 1:
        raise ConfigurationError(f"--min-frequency is 1 or more, not {config.min_frequency}")
    if not 10 <= config.vocab_size <= 10_000_000:
        raise ConfigurationError(f"--vocab-size lies between 10 and 10,000,000, not at {config.vocab_size:,}")
    if config.workers is not None and config.workers < 1:
        raise ConfigurationError(f"--workers is 1 or more, not {config.workers}")
    if config.tokenizer is not None:
        defaults = {field.name: field.default for field in dataclasses.fields(PrepareConfig)}
        for name in ("vocab_size", "lowercase", "min_frequency"):
            if getattr(config, name) != defaults[name]:
                flag = "--" + name.replace("_", "-")
                raise ConfigurationError(
                    f"{flag} is for learning a vocabulary, and --tokenizer reuses one: drop either"
                )


def _copy_of_stdin(file: InputFile, folder: Path, config: PrepareConfig) -> InputFile:
    """Return a file that can be read twice, once for the vocabulary and once for the pieces."""
    if file.path is not None or file.skip_reason is not None:
        return file
    copy = folder / _STDIN_COPY
    with copy.open("wb") as out:
        shutil.copyfileobj(sys.stdin.buffer, out)
    return dataclasses.replace(file, path=copy, format=config.stdin_format, num_bytes=copy.stat().st_size)


def _learn_vocabulary(files: list[InputFile], config: PrepareConfig) -> tuple[PieceTokenizer, dict[str, Any]]:
    reading = ReadSummary()
    with ReadingProgress("reading for the vocabulary", files, reading, quiet=config.quiet) as progress:
        sample = sample_text(progress.follow(read_documents(files, config, reading)), seed=config.seed)
        progress.say(f"learning a vocabulary from {sum(map(len, sample.texts)):,} characters")
    tokenizer = PieceTokenizer.train(
        sample.texts, vocab_size=config.vocab_size, lowercase=config.lowercase, min_frequency=config.min_frequency
    )
    learned_from = {
        "num_documents": len(sample.texts),
        "num_characters": sum(map(len, sample.texts)),
        "of_num_documents": sample.num_documents,
        "of_num_characters": sample.num_characters,
    }
    return tokenizer, {"source": None, "learned_from": learned_from}


def _add_words(tokenizer: PieceTokenizer, path: Path) -> int:
    """Make the words of a file pieces; returns how many are new."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", source=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8", source=str(path), offset=error.start) from error
    return tokenizer.add_words(word.strip() for word in text.splitlines())


def _record(config: PrepareConfig, reading: ReadSummary) -> dict[str, Any]:
    """Return what the manifest says of how the corpus was made: nothing that differs from run to run."""
    not_kept = ("output", "workers", "overwrite", "quiet", "json")
    options = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        "options": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in options.items()
            if name not in not_kept
        },
        "reading": reading.as_dict(),
        "versions": versions(),
    }
