"""What coarse-to-fine coreference loses before it compares mentions in detail.

    python benchmarks/coreference_recall.py MODEL FILE

Two tables: of the right mentions, how many are kept and how many have a right antecedent among those compared (the best
that the detailed scores could still do); and, from the file alone, how many mentions have their nearest antecedent
further back than a number of words, which is what `--max-antecedent-distance` costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

import numpy as np

import spanbert
from spanbert.example_sets import load_examples
from spanbert.task import Scored
from spanbert.tasks.coreference.decode import gold_clusters, kept_mentions
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.tasks.coreference.task import CoreferenceResolution

DISTANCES = (250, 500, 1000, 2000, 4000)


def recall(scored: Iterable[Scored[CoreferenceExample]]) -> dict[str, float]:
    """Counts and shares (in per cent) over documents."""
    mentions = found = linked = reachable = kept_spans = words = 0
    for one in scored:
        kept = kept_mentions(one)
        cluster = gold_clusters(kept, one.example)
        right = (cluster[kept.antecedents] == cluster[:, None]) & (kept.antecedents >= 0) & (cluster >= 0)[:, None]
        mentions += sum(map(len, one.example.clusters or ()))
        found += int((cluster >= 0).sum())
        linked += sum(len(members) - 1 for members in one.example.clusters or ())
        reachable += int(right.any(1).sum())
        kept_spans += len(cluster)
        words += len(kept.places.words)
    return {
        "words": words,
        "kept_per_word": kept_spans / max(words, 1),
        "mentions": mentions,
        "mention_recall": 100 * found / max(mentions, 1),
        "links": linked,
        "antecedent_recall": 100 * reachable / max(linked, 1),
    }


def far_antecedents(examples: Sequence[CoreferenceExample]) -> dict[int, float]:
    """By number of words, the share (in per cent) of links whose nearest antecedent is further back."""
    gaps = []
    for example in examples:
        starts = np.array([word.start for word in example.words or ()])
        for cluster in example.clusters or ():
            places = np.searchsorted(starts, [mention.start for mention in cluster])
            gaps += np.diff(places).tolist()
    return {distance: 100 * float(np.mean(np.array(gaps) > distance)) for distance in DISTANCES}


def main() -> None:
    """Print the tables as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    model = spanbert.load(arguments.model, threads=arguments.threads)
    task = model.predictor.task
    located = load_examples(
        CoreferenceResolution,
        arguments.file,
        task.settings,
        strict=False,
        say=lambda line: print(line, file=sys.stderr),
    )
    examples = [one.example for one in located]
    print(json.dumps({"file": arguments.file, **recall(model.predictor.score(examples))}))
    print(json.dumps({"share_of_links_further_back_than": far_antecedents(examples)}))


if __name__ == "__main__":
    main()
