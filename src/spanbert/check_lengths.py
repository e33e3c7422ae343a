"""How long the texts of a data file are: in pieces, words or characters, as figures and as a picture of characters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from spanbert.tokenization import PieceTokenizer

Unit = Literal["pieces", "words", "characters"]

_MOST_BARS = 10
_BAR_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"
_LONGEST_WORD = 10
"""Where "words" between spaces are longer than this on average, the script has none: characters are counted."""
# Thai, Lao, Burmese and Khmer; Kana and Han.
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_SPECIAL_PIECES = 2  # [CLS] and [SEP]


@dataclass(frozen=True)
class Measure:
    """A way to measure texts.

    Attributes:
        unit: what is counted.
        count: texts -> int64 [E], their lengths.
    """

    unit: Unit
    count: Callable[[Sequence[str]], npt.NDArray[np.int64]]


WORDS = Measure("words", lambda texts: np.array([len(text.split()) for text in texts], np.int64))
CHARACTERS = Measure("characters", lambda texts: np.array([len(text) for text in texts], np.int64))


def choose_measure(tokenizer: PieceTokenizer | None) -> Measure | None:
    """Pieces where there is a tokenizer; None leaves the choice to the texts."""
    if tokenizer is None:
        return None

    def count(texts: Sequence[str]) -> npt.NDArray[np.int64]:
        different = {text: number for number, text in enumerate(dict.fromkeys(texts))}  # many questions have one text
        return tokenizer.encode_ids(list(different)).lengths[[different[text] for text in texts]]

    return Measure("pieces", count)


def measure_lengths(texts: Sequence[str], measure: Measure | None) -> Lengths:
    """The lengths of some texts, of one at least."""
    if measure is None:
        words, characters = WORDS.count(texts).sum(), CHARACTERS.count(texts).sum()
        spaceless = sum(len(_SPACELESS.findall(text)) for text in texts)
        has_words = characters <= _LONGEST_WORD * max(1, words) and 2 * spaceless < characters
        measure = WORDS if has_words else CHARACTERS
    return Lengths(measure, measure.count(texts))


@dataclass(frozen=True)
class Lengths:
    """The lengths of the texts of a file.

    Attributes:
        measure: how they were measured.
        values: int64 [E].
    """

    measure: Measure
    values: npt.NDArray[np.int64]

    def num_long(self, max_length: int) -> int:
        """How many texts do not fit into a window of `max_length` pieces.

        With words or characters this is a lower bound: none of them is less than a piece.
        """
        return int((self.values > max_length - _SPECIAL_PIECES).sum())

    def figures(self) -> dict[str, float]:
        """Least, median, mean, upper quantiles and most."""
        median, ninety, ninety_nine = np.quantile(self.values, [0.5, 0.9, 0.99]).tolist()
        least, most = int(self.values.min()), int(self.values.max())
        return {
            "min": least,
            "median": median,
            "mean": float(self.values.mean()),
            "90 %": ninety,
            "99 %": ninety_nine,
            "max": most,
        }

    def bars(self) -> list[tuple[int, int | None, int]]:
        """(from, to, number) of up to ten stretches of equal width; the last holds the longest, however long."""
        usual = max(1.0, float(np.quantile(self.values, 0.99)))
        width = _round_width(usual / (_MOST_BARS - 1))
        num_bars = min(_MOST_BARS, int(self.values.max()) // width + 1)
        numbers = np.bincount(np.minimum(self.values // width, num_bars - 1), minlength=num_bars)
        closed = int(self.values.max()) < num_bars * width
        return [
            (bar * width, (bar + 1) * width if closed or bar < num_bars - 1 else None, int(number))
            for bar, number in enumerate(numbers)
        ]

    def to_json(self, max_length: int) -> dict[str, Any]:
        """Everything as JSON values; `to` is exclusive, and null where a bar has no end."""
        names = {"90 %": "p90", "99 %": "p99"}
        return {
            "unit": self.measure.unit,
            **{names.get(name, name): value for name, value in self.figures().items()},
            "histogram": [{"from": low, "to": high, "number": number} for low, high, number in self.bars()],
            "max_length": max_length,
            "num_longer_than_a_window": self.num_long(max_length),
        }

    def describe(self, max_length: int, *, plain: bool = False) -> Iterator[str]:
        """Lines for people.

        Args:
            max_length: most pieces of a window.
            plain: draw bars with "#".
        """
        unit = self.measure.unit
        figures = ", ".join(
            f"{name} {value:,.4g}" if value < 1000 else f"{name} {value:,.0f}" for name, value in self.figures().items()
        )
        yield f"length in {unit}: {figures}"
        bars = self.bars()
        labels = [f"{low:,} – {high - 1:,}" if high else f"from {low:,}" for low, high, _ in bars]
        labels = [label.replace("–", "-") for label in labels] if plain else labels
        most = max(number for _, _, number in bars)
        for label, (_, _, number) in zip(labels, bars, strict=True):
            yield f"  {label:>{max(map(len, labels))}}  {_bar(number / most, plain=plain)} {number:,}"
        num_long = self.num_long(max_length)
        share = f"{num_long:,} of {len(self.values):,} texts ({num_long / len(self.values):.1%})"
        if unit == "pieces":
            yield f"{share} need several windows of {max_length:,} pieces; a question or a pair of spans takes room too"
        else:
            yield f"{share} are longer than {max_length:,} {unit}; --model counts which need several windows"


def _round_width(width: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    power = 10 ** math.floor(math.log10(max(1.0, width)))
    return next(int(step * power) for step in (1, 2, 5, 10) if step * power >= width)


def _bar(share: float, *, plain: bool) -> str:
    """A bar whose length is a share of the widest; what is not nothing is seen."""
    if plain:
        return "#" * math.ceil(share * _BAR_WIDTH)
    eighths = math.ceil(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
