"""A train/dev split of one file: seeded, in proportion, and with what belongs together on one side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from spanbert import randomness
from spanbert.errors import InputError
from spanbert.read_summary import counted
from spanbert.task import ExampleT, Task


def split(
    task: Task[ExampleT, Any], examples: Sequence[ExampleT], dev_share: float, *, seed: int
) -> tuple[list[ExampleT], list[ExampleT]]:
    """Split examples in two, each in the order of the file.

    Whole groups (`Task.group`) are drawn. Each goes to the stratum (`Task.stratum`) of its first example; of every
    stratum `dev_share` of the examples go to the dev set, as near as whole groups come, and one group at least to
    training. Strata of a single group stay in training, unless there are so many of them that the dev set would be
    less than half of what was asked for; then `dev_share` of these groups are drawn too.

    Args:
        task: says what belongs together and what is kept in proportion.
        examples: of one file.
        dev_share: between 0 and 1.
        seed: of the draw.

    Returns:
        Training and dev examples, neither empty.

    Raises:
        InputError: there are not enough groups to split.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        groups[task.group(example)].append(number)
    if len(groups) < 2:
        raise InputError(
            f"{counted(len(examples), 'example')} in {counted(len(groups), 'group')} (an article, a document) cannot "
            "be split into training and dev set: bring a --dev file"
        )
    members = list(groups.values())
    strata: dict[str, list[list[int]]] = defaultdict(list)
    for place in randomness.permutation(len(members), seed=seed, epoch=0, purpose="train/dev split").tolist():
        strata[task.stratum(examples[members[place][0]]) or ""].append(members[place])
    dev = _drawn([stratum for _, stratum in sorted(strata.items()) if len(stratum) > 1], dev_share)
    if 2 * len(dev) < dev_share * len(examples):
        # In the order of the draw, as these keys came into the dictionary.
        dev |= _drawn([[stratum[0] for stratum in strata.values() if len(stratum) == 1]], dev_share)
    if not dev:
        firsts = [stratum[0] for stratum in strata.values() if len(stratum) > 1]
        smallest = min(firsts or [stratum[0] for stratum in strata.values()], key=len)
        dev.update(smallest)
    training = [example for number, example in enumerate(examples) if number not in dev]
    return training, [examples[number] for number in sorted(dev)]


def _drawn(strata: Sequence[Sequence[Sequence[int]]], dev_share: float) -> set[int]:
    """Members of the groups that make up `dev_share` of each stratum; the last group of each is never drawn."""
    drawn: set[int] = set()
    owed = 0.0  # what rounding leaves goes from stratum to stratum, so that many small ones still give the share
    for stratum in strata:
        owed += dev_share * sum(map(len, stratum))
        for group in stratum[:-1]:
            if len(group) / 2 <= owed:
                drawn.update(group)
                owed -= len(group)
        owed = min(owed, max(map(len, stratum), default=0) / 2)
    return drawn
