"""When two answers are the same, and how much two answers share: the rules of SQuAD 1.1, SQuAD 2.0 and CMRC 2018.

Written from the published definitions: Rajpurkar et al. 2016 (section 6.1) and 2018 (section 5), Cui et al. 2019
(section 4), and what the official scripts do where the papers say nothing: empty answers, which characters count as
punctuation, and CMRC's longest common *contiguous* run of tokens.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from spanbert.tasks.question_answering.config import Rules

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)

_CHINESE = re.compile("[\u4e00-\u9fa5]")
# CMRC's script lists the ellipsis as two characters, which no single character equals: "…" stays.
_WITHOUT_CMRC_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_CMRC_PART = re.compile("[\u4e00-\u9fa5]|[^\u4e00-\u9fa5]+")


class Matching(Protocol):
    """The rules of one data set."""

    name: Rules
    empty_equals_empty: bool

    def exact(self, gold: str, predicted: str) -> bool:
        """Whether the two are the same answer."""
        ...

    def f1(self, gold: str, predicted: str) -> float:
        """How much the two share, from 0 to 1."""
        ...

    def is_empty(self, answer: str) -> bool:
        """Whether nothing is left of an answer but what does not count."""
        ...


class SquadMatching:
    """Lower case; punctuation, then the articles a, an and the, do not count; F1 over words as multisets.

    Args:
        empty_equals_empty: as in SQuAD 2.0, two answers of which nothing is left share everything. In SQuAD 1.1 they
            share nothing, although they match exactly.
    """

    name: Rules = "squad"

    def __init__(self, *, empty_equals_empty: bool) -> None:
        self.empty_equals_empty = empty_equals_empty

    def exact(self, gold: str, predicted: str) -> bool:
        """Whether the two are the same answer."""
        return normalise(gold) == normalise(predicted)

    def f1(self, gold: str, predicted: str) -> float:
        """The harmonic mean of the shares of words in common."""
        gold_words, predicted_words = normalise(gold).split(), normalise(predicted).split()
        if self.empty_equals_empty and not (gold_words and predicted_words):
            return float(gold_words == predicted_words)
        num_common = sum((Counter(gold_words) & Counter(predicted_words)).values())
        return _f1(num_common, len(gold_words), len(predicted_words))

    def is_empty(self, answer: str) -> bool:
        """Whether the answer consists of punctuation, articles and white space."""
        return not normalise(answer)


class CmrcMatching:
    """Lower case; CMRC's punctuation does not count; F1 over the longest run of tokens that both have.

    Tokens are Chinese characters and, between them, the words of other writing.

    Args:
        empty_equals_empty: for Chinese sets with questions without an answer, which CMRC 2018 has not: as in SQuAD 2.0.
    """

    name: Rules = "cmrc"

    def __init__(self, *, empty_equals_empty: bool) -> None:
        self.empty_equals_empty = empty_equals_empty

    def exact(self, gold: str, predicted: str) -> bool:
        """Whether the two are the same answer; inner white space counts."""
        return _without_punctuation(gold) == _without_punctuation(predicted)

    def f1(self, gold: str, predicted: str) -> float:
        """The harmonic mean of the shares of tokens in the longest common run."""
        gold_tokens, predicted_tokens = mixed_tokens(gold), mixed_tokens(predicted)
        if self.empty_equals_empty and not (gold_tokens and predicted_tokens):
            return float(gold_tokens == predicted_tokens)
        return _f1(_longest_common_run(gold_tokens, predicted_tokens), len(gold_tokens), len(predicted_tokens))

    def is_empty(self, answer: str) -> bool:
        """Whether the answer consists of punctuation and white space."""
        return not mixed_tokens(answer)


def choose_matching(rules: Rules, answers: Sequence[str], *, unanswerable: bool) -> Matching:
    """The rules to score with.

    Args:
        rules: what the user wants; "auto" looks at the answers.
        answers: all right answers of the data set.
        unanswerable: whether it has questions without an answer: SQuAD 2.0's rules for empty answers, then.
    """
    if rules == "auto":
        num_chinese = sum(_CHINESE.search(answer) is not None for answer in answers)
        rules = "cmrc" if 2 * num_chinese > len(answers) else "squad"
    return (CmrcMatching if rules == "cmrc" else SquadMatching)(empty_equals_empty=unanswerable)


def normalise(answer: str) -> str:
    """What counts of an answer in SQuAD: lower case, no ASCII punctuation, no English articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_WITHOUT_PUNCTUATION)).split())


def mixed_tokens(answer: str) -> list[str]:
    """CMRC's tokens: every Chinese character, and the words of other writing, in lower case, without punctuation."""
    tokens: list[str] = []
    for part in _CMRC_PART.findall(_without_punctuation(answer)):
        if _CHINESE.match(part):
            tokens.append(part)
        else:
            tokens += _words(part)
    return tokens


def _without_punctuation(answer: str) -> str:
    return answer.lower().strip().translate(_WITHOUT_CMRC_PUNCTUATION)


# The Penn Treebank's way with words, by which CMRC's script divides writing that is not Chinese: spaces around marks
# that are tokens of their own, opening and closing quotes told apart. A comma or colon is a token unless a digit
# follows, a full stop only at the very end.
_TREEBANK = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[«“‘„»”’]|`+", r" \g<0> "),
        (r"(?:(?<=[ ([{<])|^)(?:\"|'')", " `` "),
        (r"\"|''", " '' "),
        (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
        (r"([^.])(\.)([])}>\"'»”’ ]*)\s*$", r"\1 \2 \3 "),
        (r"[:,](?!\d)", r" \g<0> "),
        (r"\.{2,}|[;@#$%&‒–—―?!*()<>{}]|\[|\]|--", r" \g<0> "),
        (r"(?<=[^' ])(?:'[smd]|'(?:ll|re|ve)|n't|'|'')(?=\s|$)", r" \g<0>"),
        (r"\b(can(?=not\b)|(?:gim|lem)(?=me\b)|gon(?=na\b)|got(?=ta\b))", r"\1 "),
    )
)


def _words(text: str) -> list[str]:
    """Words of writing that is not Chinese, lower case."""
    for pattern, replacement in _TREEBANK:
        text = pattern.sub(replacement, text)
    return text.split()


def _longest_common_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest run of tokens that stands in both."""
    longest = 0
    ending_here = [0] * (len(other) + 1)  # by position in `other`, the run that ends there and at `token`
    for token in one:
        ending_here = [0] + [
            before + 1 if token == candidate else 0 for candidate, before in zip(other, ending_here, strict=False)
        ]
        longest = max(longest, *ending_here)
    return longest


def _f1(num_common: int, num_gold: int, num_predicted: int) -> float:
    if num_common == 0:
        return 0.0
    precision, recall = num_common / num_predicted, num_common / num_gold
    return 2 * precision * recall / (precision + recall)
