"""What a person sees of a corpus that `spanbert prepare` made: a summary of what was read and made."""

from __future__ import annotations

from typing import Any

from spanbert.documents import ReadSummary
from spanbert.read_summary import counted
from spanbert.tasks.pretraining.corpus import Corpus


def summary_figures(corpus: Corpus) -> dict[str, Any]:
    """Return the summary as JSON-like values: what the corpus's manifest says, and figures derived from it."""
    counts = corpus.manifest["counts"]
    return corpus.describe() | {
        "pieces_per_word": counts["num_pieces"] / counts["num_words"],
        "bytes_per_piece": counts["num_text_bytes"] / counts["num_pieces"],
        "unknown_share": counts["num_unknown_pieces"] / counts["num_pieces"],
    }


def summary_table(corpus: Corpus, reading: ReadSummary) -> str:
    """Return the summary for a person, some lines of text."""
    figures = summary_figures(corpus)
    counts: dict[str, int] = figures["counts"]
    rows = [
        ("vocabulary", _vocabulary(figures["tokenizer"])),
        (
            "corpus",
            f"{counted(corpus.num_documents, 'document')}, {counted(corpus.num_lines, 'line')}, "
            f"{counted(corpus.num_words, 'word')}, {counted(corpus.num_pieces, 'piece')}",
        ),
        ("pieces per word", f"{figures['pieces_per_word']:.3f}"),
        ("bytes per piece", f"{figures['bytes_per_piece']:.2f}"),
        ("[UNK]", f"{figures['unknown_share']:.4%} of the pieces"),
        ("longest line", f"{counts['longest_line']:,} pieces"),
    ]
    if lines := counts["num_lines_without_pieces"]:
        documents = counts["num_documents_without_pieces"]
        rows.append(("left out", f"{lines:,} lines and {documents:,} documents without a piece"))
    if documents := counts["num_documents_of_unknown_pieces"]:
        rows.append(("only [UNK]", f"{documents:,} documents (kept)"))
    if corpus.annotation_kinds:
        rows.append(("annotations", f"{counts['num_annotations']:,}: {', '.join(corpus.annotation_kinds)}"))
    if lost := counts["num_annotations_without_pieces"]:
        rows.append(("left out", f"{lost:,} annotations without a piece"))
    rows.append(("written", f"{figures['num_bytes'] / 1e6:,.1f} MB to {corpus.path}"))
    return "\n".join([str(reading), *(f"{label:<16}{value}" for label, value in rows)])


def _vocabulary(tokenizer: dict[str, Any]) -> str:
    size = f"{tokenizer['vocab_size']:,} pieces"
    if "words_added" in tokenizer:
        size += f" ({tokenizer['words_added']:,} of them added words)"
    if tokenizer["source"] is not None:
        return f"{size}, reused from {tokenizer['source']}"
    learned = tokenizer["learned_from"]
    if learned["num_documents"] == learned["of_num_documents"]:
        return f"{size}, learned from all of the text"
    return (
        f"{size}, learned from a random sample: {learned['num_documents']:,} of {learned['of_num_documents']:,} "
        f"documents, {learned['num_characters']:,} of {learned['of_num_characters']:,} characters"
    )
