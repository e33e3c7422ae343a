"""Coreference by rules: string match, and for a pronoun the nearest mention before it that fits.

    python benchmarks/coreference_baseline.py FILE [FILE ...] [--json]

FILE is what `spanbert score coreference` reads; `coreference_rules.py` has the rules. They are scored by the same
`CoreferenceComparison` as models are. Each file gives two rows:

    found   mentions are found by rules too
    given   the mentions are known: those of the gold clusters, in GAP the pronoun and the two names

The first columns are the mentions before linking (precision counts all of them, though a mention without a link is no
part of the answer); the others are percentages as `spanbert score coreference` prints them. In data without singletons,
gold mentions say of every mention that it has a link, so `given` is no figure to compare a model's own mentions with.

--most-words was chosen on OntoGUM's training documents.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coreference_rules import cut_words, describe, find_mentions, link_mentions

from spanbert.example_sets import load_examples
from spanbert.spans import Span
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction
from spanbert.tasks.coreference.layout import WordFinder, of_text
from spanbert.tasks.coreference.scores import three_figures
from spanbert.tasks.coreference.task import CoreferenceResolution

MODES = ("found", "given")
DOCUMENT_FIGURES = ("conll_f1", "muc_f1", "b_cubed_f1", "ceaf_e_f1", "lea_f1", "mention_f1")
GAP_FIGURES = ("gap_f1", "gap_f1_masculine", "gap_f1_feminine", "gap_bias")


def mentions_of(example: CoreferenceExample, words: Sequence[Span], mode: str, most: int) -> list[Span]:
    """The mentions of a document, as spans of its words, in order of the text."""
    if mode == "found":
        return find_mentions([example.text[start:end] for start, end in words], most)
    given = example.mentions or [mention for cluster in example.clusters or () for mention in cluster]
    finder = WordFinder(words)
    return sorted({finder.widen(mention) for mention in given}, key=lambda span: (span.start, -span.end))


def resolve(example: CoreferenceExample, mode: str, most: int) -> tuple[CoreferencePrediction, list[Span]]:
    """The clusters of a document, and all its mentions in code points of its text."""
    words = example.words or cut_words(example.text)
    texts = [example.text[start:end] for start, end in words]
    mentions = mentions_of(example, words, mode, most)
    clusters = [
        [of_text(span, words) for span in cluster]
        for cluster in link_mentions([describe(texts, span) for span in mentions])
    ]
    return CoreferencePrediction.of_spans(example, clusters), [of_text(span, words) for span in mentions]


def measure(path: Path, mode: str, most: int) -> dict[str, Any]:
    """The figures of one file."""
    options = CoreferenceDataOptions()

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    located = load_examples(CoreferenceResolution, path, options, strict=False, say=say)
    examples = [one.example for one in located]
    answers = [resolve(example, mode, most) for example in examples]
    comparison = CoreferenceResolution.compare(examples, [prediction for prediction, _ in answers], options)
    found = gold = both = 0
    for example, (_, mentions) in zip(examples, answers, strict=True):
        right = {mention for cluster in example.clusters or () for mention in cluster}
        found, gold, both = found + len(mentions), gold + len(right), both + len(right.intersection(mentions))
    record: dict[str, Any] = {"file": path.name, "mentions": mode, "examples": len(examples), "most_words": most}
    if all(example.pronoun is None for example in examples):  # what GAP says of two names is no list of mentions
        figures = three_figures("candidate", both, found, both, gold)
        record |= {name: round(value, 2) for name, value in figures.items()}
    return record | {name: round(value, 2) for name, value in comparison.figures().items()}


def table(records: Sequence[dict[str, Any]]) -> str:
    """Markdown: documents first, then GAP."""
    parts = []
    for names, key in (
        (("candidate_precision", "candidate_recall", *DOCUMENT_FIGURES), "conll_f1"),
        (GAP_FIGURES, "gap_f1"),
    ):
        rows = [record for record in records if key in record]
        if rows:
            heads = ["file", "mentions", *names]
            parts.append(f"| {' | '.join(heads)} |\n|{'---|' * 2}{'---:|' * len(names)}")
            parts += [
                f"| {row['file']} | {row['mentions']} | "
                + " | ".join(f"{row[name]:.2f}" if name in row else "-" for name in names)
                + " |"
                for row in rows
            ]
            parts.append("")
    return "\n".join(parts).rstrip()


def main() -> None:
    """Print the table, or JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--most-words", type=int, default=4, help="words of a noun phrase after its determiner")
    parser.add_argument("--json", action="store_true", help="one JSON line for each row")
    options = parser.parse_args()
    records = [measure(path, mode, options.most_words) for path in options.files for mode in MODES]
    if options.json:
        for record in records:
            print(json.dumps(record))
    else:
        print(table(records))


if __name__ == "__main__":
    main()
