"""Bring text files of different layouts into JSON lines that `spanbert prepare` reads together.

    python benchmarks/real_text.py novels NOVELS_FOLDER > novels.jsonl
    python benchmarks/real_text.py wikitext FILE.raw.gz... > wikitext.jsonl

`novels`: hard-wrapped books, one a file. `wikitext`: WikiText-2 with its tokenisation undone, without the two
articles that also stand in the English Wikipedia dump we train on.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator, Sequence

from spanbert.documents import ReadConfig, ReadSummary, expand_inputs, read_documents

ALSO_IN_TRAINING = ("Temple Beth Israel (Eugene, Oregon)", "Chad at the 2008 Summer Olympics")

_UNDO = (
    (re.compile(r" @([-,.])@ "), r"\1"),
    (re.compile(r" ([,.;:!?%)\]}]|'s\b|n't\b|'(?:re|ve|ll|d|m)\b)"), r"\1"),
    (re.compile(r"([(\[{$£€]) "), r"\1"),
    (re.compile(r'" ([^"]*) "'), r'"\1"'),
    (re.compile(r" ' ([^']*) '(?=[ ,.;:!?])"), r" '\1'"),
    (re.compile(r"(?<=\w) '(?=\w)"), "'"),
    (re.compile(r"(?<=\d) – (?=\d)"), "–"),
)


def detokenise(line: str) -> str:
    """Undo the spacing of WikiText: `1 @,@ 000 ( 5 % )` becomes `1,000 (5%)`."""
    for pattern, replacement in _UNDO:
        line = pattern.sub(replacement, line)
    return line


def wikitext_articles(paths: Sequence[str]) -> Iterator[str]:
    """The articles of WikiText files as text, a paragraph a line, the title first."""
    article: list[str] = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for raw in file:
                line = raw.strip()
                if re.fullmatch(r"= [^=].*[^=] =", line):
                    if article:
                        yield "\n".join(article)
                    article = [detokenise(line[2:-2])]
                elif line:
                    article.append(detokenise(line.strip("= ")))
        if article:
            yield "\n".join(article)
        article = []


def novels(inputs: Sequence[str]) -> Iterator[str]:
    """Hard-wrapped books, unwrapped, a paragraph a line."""
    config = ReadConfig(unwrap=True, document_end="file")
    for document in read_documents(expand_inputs(inputs), config, ReadSummary()):
        yield document.text


def main() -> None:
    """Write JSON lines to standard output."""
    kind, *paths = sys.argv[1:]
    texts = novels(paths) if kind == "novels" else wikitext_articles(paths)
    for text in texts:
        title = text.partition("\n")[0].strip()
        if kind == "wikitext" and title in ALSO_IN_TRAINING:
            print(f"left out, because the training text has it: {title}", file=sys.stderr)
            continue
        print(json.dumps({"text": text}, ensure_ascii=False))


if __name__ == "__main__":
    main()
