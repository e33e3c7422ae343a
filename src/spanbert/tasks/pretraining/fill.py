"""`spanbert fill`: the [MASK]s of texts, filled with ranked candidates. Free of torch until it runs."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spanbert.errors import ConfigurationError, InputError
from spanbert.shipped_models import DEFAULT_MODEL
from spanbert.training.config import Device, Precision

if TYPE_CHECKING:
    from spanbert.tasks.pretraining.span_filler import Candidate, FilledSpan, FilledText

_SHOWN_CONTEXT = 60  # characters on each side of a span in the readable output
_WHITE_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class FillConfig:
    """Fill the [MASK]s of texts with ranked candidates, from the masked language model and the span boundary objective.

    Write one [MASK] for each word piece; neighbouring ones are one span. Where a letter touches a [MASK] ("[MASK]s"),
    candidates are parts of this word; candidates that begin with ## continue the word before. A candidate's probability
    is the product of those of both heads, divided by the sum of these products over all candidates. Several spans of
    one text are filled each by itself, with the others masked. A text that cannot be filled becomes an error record;
    the others are filled all the same, and the exit status is 1.
    """

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")] = DEFAULT_MODEL
    """Model folder, or the name of a shipped model or one on the hub. It may be left out: a first word with a [MASK] in
    it, or with white space, is a text. Without a span boundary head, the masked language model ranks alone."""

    text: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="TEXT...")] = ()
    """Texts with [MASK]s; without any, each line of standard input is one, and blank lines are passed over."""

    top_k: int = 5
    """Candidates of each span."""

    json: bool = False
    """Print a JSON object a line. Scores are natural logarithms of probabilities; start and end are the code points of
    the text that the [MASK]s cover, end exclusive; line is the number of the text or line, from 1."""

    device: Device = "auto"
    """auto takes a GPU when there is one."""

    precision: Precision = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the processor multiplies it in hardware."""

    threads: int | None = None
    """CPU threads of torch; the default is all cores."""

    quiet: bool = False
    """No notes on texts longer than the model's window, only results and errors."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.top_k < 1:
            raise ConfigurationError(f"--top-k must be at least 1, not {self.top_k}")
        if self.threads is not None and self.threads < 1:
            raise ConfigurationError(f"--threads must be at least 1, not {self.threads}")


def run(config: FillConfig) -> int:
    """Fill the texts, print what was found, and return the exit status: 1 if there was a text that cannot be filled.

    Raises:
        CheckpointError: there is no model with a masked language model.
        InputError: there is no text at all.
    """
    from spanbert.tasks.pretraining.span_filler import SpanFiller
    from spanbert.training.devices import set_threads

    set_threads(config.threads)
    model, texts = _model_and_texts(config)
    filler = SpanFiller.load(model, device=config.device, precision=config.precision)
    num_texts = num_errors = 0
    for line, text in _numbered(texts, quiet=config.quiet):
        num_texts += 1
        try:
            if isinstance(text, InputError):
                raise text
            filled = filler.fill(text, top_k=config.top_k)
        except InputError as error:
            num_errors += 1
            if config.json:
                print(json.dumps({"line": line, "error": str(error)}, ensure_ascii=False), flush=True)
            else:
                print(f"text {line}: error: {error}", file=sys.stderr)
            continue
        if config.json:
            print(json.dumps({"line": line, **to_json(filled)}, ensure_ascii=False), flush=True)
        else:
            print(readable(filled), flush=True)
        if not config.quiet:
            _note_left_out(line, filled)
    if not num_texts:
        raise InputError("there is no text: give texts with [MASK]s as arguments or as lines", source="<stdin>")
    return 1 if num_errors else 0


def to_json(filled: FilledText) -> dict[str, Any]:
    """A filled text as the JSON of the command line: the names of its attributes, and `probability`."""
    return {
        "text": filled.text,
        "best": filled.best,
        "spans": [
            {
                "start": span.start,
                "end": span.end,
                "num_pieces": span.num_pieces,
                "num_pieces_left_out": span.num_pieces_left_out,
                "candidates": [
                    {
                        "text": candidate.text,
                        "joins_left": candidate.joins_left,
                        "pieces": candidate.pieces,
                        "probability": candidate.probability,
                        "score": candidate.score,
                        "mlm_score": candidate.mlm_score,
                        "sbo_score": candidate.sbo_score,
                    }
                    for candidate in span.candidates
                ],
            }
            for span in filled.spans
        ],
    }


def readable(filled: FilledText) -> str:
    """A filled text for human readers: each span marked in its context with a table of candidates, and the result."""
    lines = []
    for number, span in enumerate(filled.spans, 1):
        of = f" {number} of {len(filled.spans)}" if len(filled.spans) > 1 else ""
        pieces = f"{span.num_pieces} piece{'s' if span.num_pieces > 1 else ''}"
        lines += [
            _in_context(filled.text, span),
            f"  span{of}: characters {span.start}..{span.end}, {pieces}",
            f"  {'probability':>15} {'MLM alone':>11} {'SBO alone':>11}   candidate",
        ]
        lines += [_row(rank, candidate) for rank, candidate in enumerate(span.candidates, 1)]
    return "\n".join([*lines, f"  best: {filled.best}", ""])


def _row(rank: int, candidate: Candidate) -> str:
    shares = [
        "-" if score is None else f"{math.exp(score):.2%}"
        for score in (candidate.score, candidate.mlm_score, candidate.sbo_score)
    ]
    continues = candidate.pieces[0].startswith("##")
    return f"{rank:>4}. {shares[0]:>11} {shares[1]:>11} {shares[2]:>11}   {'##' if continues else ''}{candidate.text}"


def _in_context(text: str, span: FilledSpan) -> str:
    """A span between « and » with some text around it, on one line."""
    before, after = text[: span.start], text[span.end :]
    if len(before) > _SHOWN_CONTEXT:
        before = "…" + before[-_SHOWN_CONTEXT:]
    if len(after) > _SHOWN_CONTEXT:
        after = after[:_SHOWN_CONTEXT] + "…"
    return _WHITE_SPACE.sub(" ", f"{before}«{text[span.start : span.end]}»{after}")


def _model_and_texts(config: FillConfig) -> tuple[str, tuple[str, ...]]:
    """What is meant where the model is left out: no model's name has a [MASK] in it, or white space."""
    from spanbert.tokenizer_files import MASK

    if MASK in config.model or (_WHITE_SPACE.search(config.model) and not Path(config.model).exists()):
        return DEFAULT_MODEL, (config.model, *config.text)
    return config.model, config.text


def _numbered(texts: tuple[str, ...], *, quiet: bool) -> Iterator[tuple[int, str | InputError]]:
    """The texts, or else the lines of standard input, with their numbers, from 1; an error for a line that is not
    UTF-8."""
    if texts:
        yield from enumerate(texts, 1)
        return
    if sys.stdin.isatty() and not quiet:
        print("reading texts with [MASK]s from standard input, one a line", file=sys.stderr)
    for number, data in enumerate(sys.stdin.buffer, 1):
        try:
            line = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield number, InputError(f"byte {error.start} of the line is not UTF-8: convert the text to UTF-8")
            continue
        if line and not line.isspace():
            yield number, line


def _note_left_out(line: int, filled: FilledText) -> None:
    for span in filled.spans:
        if span.num_pieces_left_out:
            print(
                f"text {line}: note: it is longer than the model's window: {span.num_pieces_left_out} of its pieces "
                f"were not read as context of the span at characters {span.start}..{span.end}",
                file=sys.stderr,
            )
