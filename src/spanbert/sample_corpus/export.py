"""`spanbert sample`: the sample corpus as plain files, in the shape in which a user would bring their own text."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spanbert.errors import ConfigurationError
from spanbert.sample_corpus.reader import SampleDocument, sample_documents
from spanbert.sample_corpus.task_files import write_task_files


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """Write the sample corpus that ships with this package: as text files, as JSON lines, or as data for a task."""

    output: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """Folder to write to; it is made where it is missing, and files of the same names are replaced."""

    format: Literal["text", "jsonl"] = "text"
    """`text`: a .txt file for each document, its title on the first line, then a paragraph a line. `jsonl`: one file
    sample.jsonl with a document a line: id, text, spans (the entities, as [start, end, kind] in code points of the
    text), title, topic, language."""

    task: Literal["question-answering", "ner", "relations", "classification", "coreference"] | None = None
    """Write train.jsonl and dev.jsonl for `spanbert finetune TASK` instead: questions with answers; paragraphs with
    entities, with relations, or with the topic of their document as label; documents with clusters of mentions, those
    of one mention too, and with speakers. Every fifth document is in dev.jsonl."""

    language: Literal["en", "zh", "all"] = "en"
    """Which documents: English (en), Chinese (zh) or both (all)."""


def run(config: SampleConfig) -> int:
    """Write the files, say on stderr what was written, and return the exit status.

    Raises `ConfigurationError` when the output cannot be written.
    """
    documents = sample_documents(None if config.language == "all" else config.language)
    try:
        config.output.mkdir(parents=True, exist_ok=True)
        if config.task is not None:
            counts = write_task_files(config.task, documents, config.output)
            written_files = " and ".join(
                f"{number} records to {config.output / name}" for name, number in counts.items()
            )
            print(f"wrote {written_files}", file=sys.stderr)
            return 0
        if config.format == "jsonl":
            written = config.output / "sample.jsonl"
            written.write_text("".join(_json_line(document) for document in documents), encoding="utf-8", newline="\n")
        else:
            written = config.output
            for document in documents:
                file = written / f"{document.name}.txt"
                file.write_text(f"{document.title}\n{document.text}\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {error.filename}: {error.strerror}; choose another output"
        ) from error
    num_characters = sum(len(document.text) for document in documents)
    print(f"wrote {len(documents)} documents, {num_characters:,} characters, to {written}", file=sys.stderr)
    return 0


def _json_line(document: SampleDocument) -> str:
    record = {
        "id": document.name,
        "text": document.text,
        "spans": [[entity.start, entity.end, "entity"] for entity in document.entities],
        "title": document.title,
        "topic": document.topic,
        "language": document.language,
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
