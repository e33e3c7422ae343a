"""Speed and memory of coreference: `spanbert` against fastcoref's F-coref, on the same documents, in one run.

    python benchmarks/coreference_speed.py --model DIR --documents FILE --fastcoref-python PATH [--long FILE]

fastcoref lives in an environment of its own; PATH is its interpreter. Both sides have the encoder of DIR (a BERT) under
a head with random weights. A constant is then added to the mention scores of each, so that both find as many links as
the gold clusters have: a model that links everything, or nothing, would do another amount of work after its scores.

Each row of the table is a process of its own. After a round that is not counted, the processes run one after the other,
round by round, and medians are shown. Memory is the highest resident memory of the process above what it had after
loading its model. Both sides get lists of words, so nobody's word splitting is timed; prediction has everything from
there to clusters. Training is one epoch of forward, backward and optimiser in each side's own way, with all features
made beforehand.

--long FILE joins that file's documents into one of 5,000, 10,000, 20,000 and 50,000 words, and predicts each length
once in a fresh process. --profile prints the ten most expensive operations of our prediction instead of all that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from spanbert.example_sets import load_examples
from spanbert.tasks.coreference.config import CoreferenceDataOptions
from spanbert.tasks.coreference.examples import CoreferenceExample
from spanbert.tasks.coreference.layout import WordFinder
from spanbert.tasks.coreference.task import CoreferenceResolution

HERE = Path(__file__).resolve().parent
WARM_UP = 1


@dataclass(frozen=True)
class Side:
    """A row of the table."""

    name: str
    precision: str
    script: str
    settings: str


SIDES = (
    Side("spanbert", "auto", "coreference_speed_spanbert.py", "defaults"),
    Side("fastcoref", "fp32", "coreference_speed_fastcoref.py", "defaults"),
    Side("spanbert", "fp32", "coreference_speed_spanbert.py", "--precision fp32"),
    Side("fastcoref", "bf16", "coreference_speed_fastcoref.py", "under autocast"),
)


class Worker:
    """A process that has one side's model and does one job; see `coreference_speed_worker.py`."""

    def __init__(
        self, side: Side, job: str, documents: Sequence[Any], options: argparse.Namespace, **more: Any
    ) -> None:
        is_ours = side.script.endswith("spanbert.py")
        environment = {name: value for name, value in os.environ.items() if is_ours or name != "PYTHONPATH"}
        environment |= {"OMP_NUM_THREADS": str(options.threads), "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"HF_HUB_OFFLINE": "1"}
        self.side = side
        self.process = subprocess.Popen(
            [sys.executable if is_ours else str(options.fastcoref_python), str(HERE / side.script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if options.verbose else subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        settings = {
            "job": job,
            "precision": side.precision,
            "threads": options.threads,
            "model": str(options.model.resolve()),
            "documents": documents,
            "mention_bias": 0.0,
        }
        self.loaded: dict[str, Any] = self._ask(json.dumps(settings | more))

    def run(self) -> dict[str, Any]:
        """One round."""
        return self._ask("")

    def close(self) -> None:
        """End the process."""
        self._pipe(self.process.stdin).close()
        self.process.wait()

    def _ask(self, line: str) -> dict[str, Any]:
        stdin = self._pipe(self.process.stdin)
        try:
            stdin.write(line + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it ended; below says so
        answer = self._pipe(self.process.stdout).readline()
        if not answer:
            raise SystemExit(
                f"{self.side.name}, {self.side.precision}: ended with {self.process.wait()}; see --verbose"
            )
        return dict(json.loads(answer))

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def read_documents(path: Path) -> list[dict[str, Any]]:
    """Words, and clusters of first and last words, of a file's documents."""

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    located = load_examples(CoreferenceResolution, path, CoreferenceDataOptions(), strict=False, say=say)
    return [_as_words(one.example) for one in located]


def _as_words(example: CoreferenceExample) -> dict[str, Any]:
    if example.words is None:
        raise SystemExit(f"{example.id}: has no words; both sides need files of words")
    finder = WordFinder(example.words)
    clusters = [[finder.widen(mention) for mention in cluster] for cluster in example.clusters or ()]
    return {
        "words": [example.text[start:end] for start, end in example.words],
        "clusters": [[(span.start, span.end - 1) for span in cluster] for cluster in clusters],
    }


def measure(job: str, documents: Sequence[Any], biases: dict[str, float], options: argparse.Namespace) -> list[Any]:
    """Rounds that alternate between the sides; for each its medians."""
    workers = [Worker(side, job, documents, options, mention_bias=biases[side.name]) for side in SIDES]
    rounds = []
    for number in range(WARM_UP + options.rounds):
        rounds.append([worker.run() for worker in workers])
        said = ", ".join(
            f"{worker.side.name} {worker.side.precision} {answer['seconds']:.2f} s"
            for worker, answer in zip(workers, rounds[-1], strict=True)
        )
        print(f"{job}, round {number}{' (warm-up)' if number < WARM_UP else ''}: {said}", file=sys.stderr)
    for worker in workers:
        worker.close()
    num_words = sum(len(document["words"]) for document in documents)
    results = []
    for answers in zip(*rounds, strict=True):
        seconds = statistics.median(answer["seconds"] for answer in answers[WARM_UP:])
        result = {**answers[-1], "peak_mib": round(answers[-1]["peak_mib"]), "seconds": round(seconds, 3)}
        results.append(result | {"words_per_second": round(num_words / seconds)})
    return results


def once(side: Side, job: str, documents: Sequence[Any], options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """One round in a fresh process."""
    worker = Worker(side, job, documents, options, **more)
    answer = worker.run() | worker.loaded
    worker.close()
    return answer


def calibrate(documents: Sequence[Any], options: argparse.Namespace) -> dict[str, float]:
    """By side, what has to be added to its mention scores."""
    num_links = sum(len(cluster) - 1 for document in documents for cluster in document["clusters"])
    sides = {side.name: side for side in SIDES if side.precision == "fp32"}
    return {
        name: once(side, "calibrate", documents, options, num_links=num_links)["mention_bias"]
        for name, side in sides.items()
    }


def compare(documents: Sequence[Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of the table."""
    biases = calibrate(documents, options)
    columns = {job: measure(job, documents, biases, options) for job in ("predict", "train")}
    return [
        {"name": side.name, "settings": side.settings}
        | {"precision": predicted.get("precision", side.precision), "predict": predicted, "train": trained}
        for side, predicted, trained in zip(SIDES, columns["predict"], columns["train"], strict=True)
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, and our first row against fastcoref's."""
    lines = [
        "| | precision | prediction, words/s | peak, MiB | training, words/s | peak, MiB | kept | in clusters |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        predicted, trained = row["predict"], row["train"]
        lines.append(
            f"| {row['name']}, {row['settings']} | {row['precision']} | {predicted['words_per_second']:,} | "
            f"{predicted['peak_mib']:,} | {trained['words_per_second']:,} | {trained['peak_mib']:,} | "
            f"{predicted['kept']:,} | {predicted['linked']:,} |"
        )
    ours = rows[0]
    for peer in [row for row in rows if row["name"] != ours["name"]]:
        ratios = [
            f"{what} {ours[job]['words_per_second'] / peer[job]['words_per_second']:.2f} times as fast in "
            f"{ours[job]['peak_mib'] / max(1, peer[job]['peak_mib']):.2f} times the memory"
            for job, what in (("predict", "prediction"), ("train", "training"))
        ]
        lines.append(f"\nspanbert's defaults against fastcoref, {peer['settings']}: {'; '.join(ratios)}.")
    return "\n".join(lines)


def grow(lengths: Sequence[int], side: Side, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Prediction of one document of each length."""
    words = [word for document in read_documents(options.long) for word in document["words"]]
    if lengths and max(lengths) > len(words):
        raise SystemExit(f"{options.long} has {len(words):,} words: --lengths asks for more")
    rows = []
    for length in lengths:
        answer = once(side, "predict", [{"words": words[:length], "clusters": []}], options, mention_bias=0.0)
        rows.append({"name": side.name, "precision": side.precision, "words": length} | answer)
        print(f"{side.name}, {length:,} words: {answer['seconds']:.1f} s", file=sys.stderr)
    return rows


def long_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| one document, words | | seconds | words/s | peak, MiB | with all that was loaded, MiB |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['words']:,} | {row['name']} | {row['seconds']:.1f} | {row['words'] / row['seconds']:,.0f} | "
        f"{row['peak_mib']:,.0f} | {row['peak_mib'] + row['loaded_mib']:,.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a BERT")
    parser.add_argument("--documents", type=Path, help="file of documents as words, with clusters")
    parser.add_argument("--limit", type=int, help="only the first documents of that file")
    parser.add_argument("--fastcoref-python", type=Path, help="python of an environment with fastcoref 2.1.6")
    parser.add_argument("--long", type=Path, help="file of documents that are joined into long ones")
    parser.add_argument("--lengths", type=int, nargs="*", default=[5_000, 10_000, 20_000, 50_000], help="in words")
    parser.add_argument("--peer-lengths", type=int, nargs="*", default=[], help="those that fastcoref predicts, too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--shapes", action="store_true", help="--profile tells operations of other shapes apart")
    parser.add_argument("--json", action="store_true", help="one JSON line for each row of the tables")
    parser.add_argument("--verbose", action="store_true", help="show what the processes write to stderr")
    options = parser.parse_args()
    if options.documents and not options.profile and not options.fastcoref_python:
        parser.error("--documents needs --fastcoref-python")
    if not options.documents and (options.profile or not options.long):
        parser.error("nothing to do: give --documents, or --long")
    return options


def main() -> None:
    """Print the tables."""
    options = parse_options()
    documents = read_documents(options.documents)[: options.limit] if options.documents else []
    if options.profile:
        print(once(SIDES[0], "profile", documents, options, shapes=options.shapes)["table"])
        return
    rows = compare(documents, options) if documents else []
    long_rows = []
    if options.long:
        long_rows = grow(options.lengths, SIDES[0], options) + grow(options.peer_lengths, SIDES[1], options)
    if options.json:
        for row in rows + long_rows:
            print(json.dumps(row))
        return
    if rows:
        num_words = sum(len(document["words"]) for document in documents)
        print(f"{len(documents)} documents, {num_words:,} words, {options.threads} threads, {options.rounds} rounds\n")
        print(table(rows))
    if long_rows:
        print(("\n" if rows else "") + long_table(long_rows))


if __name__ == "__main__":
    main()
