"""What is wrong with examples that could be read one by one, and what there is to count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from spanbert.task import UNKNOWN_LABEL, Located, Problem, with_its_case
from spanbert.tasks.relations.config import RelationOptions, RelationSettings
from spanbert.tasks.relations.examples import RelationExample
from spanbert.tasks.relations.metrics import is_directed
from spanbert.tasks.relations.pairs import gold_labels, judged_pairs, negative_label
from spanbert.tasks.relations.semeval import DIRECTED


def check_relations(examples: Sequence[Located[RelationExample]], options: RelationOptions) -> Iterator[Problem]:
    """Problems in order of lines; with the settings of a model, also relations that it does not know."""
    known = frozenset(options.labels) if isinstance(options, RelationSettings) else frozenset()
    seen: dict[str, int] = {}
    labels = [relation.label for item in examples for relation in item.example.relations or ()]
    directed = is_directed(labels)
    negative = negative_label(labels, options)
    for item in examples:
        example, line = item.example, item.line
        if seen.setdefault(example.id, line) != line:
            detail = f"{example.id} stands in line {seen[example.id]} too; predictions by id cannot tell them apart"
            yield Problem(line, "duplicate id", detail, skipped=False)
        if example.relations is None:
            detail = f"{example.id} has no relation: nothing is learned from it, and it is not scored"
            yield Problem(line, "relation missing", detail)
            continue
        near = None if example.asked is not None else set(map(tuple, judged_pairs(example, options).pairs.tolist()))
        for relation in example.relations:
            head, tail = example.entities[relation.head], example.entities[relation.tail]
            where = f"{example.id}: {head.start}..{head.end} {relation.label} {tail.start}..{tail.end}"
            if known and relation.label not in known:
                label = with_its_case(relation.label, known)
                detail = f"{where}: the model knows no {label}, only {', '.join(sorted(known))}"
                yield Problem(line, UNKNOWN_LABEL, detail, skipped=False)
            if head.start < tail.end and tail.start < head.end:
                yield Problem(line, "overlapping spans", f"{where}: head and tail share characters", skipped=False)
            if directed and relation.label != negative and not DIRECTED.fullmatch(relation.label):
                detail = f"{where}: other labels name it, as in (e1,e2); this one is taken as a relation of its own"
                yield Problem(line, "no direction", detail, skipped=False)
            if near is not None and (relation.head, relation.tail) not in near:
                detail = f"{where}: more than {options.max_pair_distance} words lie between; it is not judged"
                yield Problem(line, "farther than --max-pair-distance", detail, skipped=False)


def describe_relations(examples: Sequence[RelationExample], options: RelationOptions) -> dict[str, Mapping[str, int]]:
    """Counts of relations, entity types, and pairs."""
    labels = [relation.label for example in examples for relation in example.relations or ()]
    negative = negative_label(labels, options)
    relations: Counter[str] = Counter()
    types: Counter[str] = Counter()
    pairs = {"judged": 0, "left out (too far apart)": 0}
    for example in examples:
        judged = judged_pairs(example, options)
        pairs["judged"] += len(judged.pairs)
        pairs["left out (too far apart)"] += judged.num_left_out
        types.update(entity.type or "(no type)" for entity in example.entities)
        if example.relations is not None:
            gold = gold_labels(example, negative)
            relations.update(gold.values())
            if example.asked is None:
                near = set(map(tuple, judged.pairs.tolist()))
                relations[negative] += len(near - gold.keys())
    return {
        "relations": dict(relations.most_common()),
        "entity types": dict(types.most_common()),
        "pairs": pairs,
    }
