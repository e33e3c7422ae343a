"""A train/dev split of one file: seeded, in proportion, and with what belongs together on one side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from spanbert import randomness
from spanbert.errors import InputError
from spanbert.task import ExampleT, Task


def split(
    task: Task[ExampleT, Any], examples: Sequence[ExampleT], dev_share: float, *, seed: int
) -> tuple[list[ExampleT], list[ExampleT]]:
    """Split examples in two, each in the order of the file.

    Whole groups (`Task.group`) are drawn. Each goes to the stratum (`Task.stratum`) of its first example; of every
    stratum `dev_share` of the examples, rounded over all of them, go to the dev set, a stratum of one example to
    training.

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
            f"{len(examples)} examples in {len(groups)} group (an article, a document) cannot be split into training "
            "and dev set: bring a --dev file"
        )
    members = list(groups.values())
    strata: dict[str, list[int]] = defaultdict(list)
    for place in randomness.permutation(len(members), seed=seed, epoch=0, purpose="train/dev split").tolist():
        strata[task.stratum(examples[members[place][0]]) or ""].append(place)
    dev: set[int] = set()
    owed = 0.0  # carried from stratum to stratum, so that many small ones still give the share
    for _, places in sorted(strata.items()):
        owed += dev_share * sum(len(members[place]) for place in places)
        for place in places[:-1]:  # one group at least is learned from
            if len(members[place]) / 2 > owed:
                break
            dev.update(members[place])
            owed -= len(members[place])
    if not dev:
        dev.update(members[min((places[0] for places in strata.values()), key=lambda place: len(members[place]))])
    training = [example for number, example in enumerate(examples) if number not in dev]
    return training, [examples[number] for number in sorted(dev)]
