"""How fast pieces are masked, on one core: `OMP_NUM_THREADS=1 python benchmarks/masking_speed.py`.

Random text in which a piece continues a word with probability 0.25. Masking alone is timed: not reading the pieces from
the corpus, and not making tensors. Prints the median over `--repeats` calls, in million pieces a second.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from spanbert.tasks.pretraining.blocks import FlatBlocks
from spanbert.tasks.pretraining.masking import MaskingConfig, MaskingVocabulary, mask_blocks

VOCAB_SIZE = 16_000
CONFIGS = {
    "paper, spans": MaskingConfig(),
    "as-released, spans": MaskingConfig(preset="as-released"),
    "paper, whole-words": MaskingConfig(scheme="whole-words"),
    "paper, pieces": MaskingConfig(scheme="pieces"),
}


def random_blocks(num_blocks: int, length: int) -> FlatBlocks:
    """Return blocks of random pieces, all of one length."""
    rng = np.random.default_rng(0)
    num_pieces = num_blocks * length
    return FlatBlocks(
        pieces=rng.integers(5, VOCAB_SIZE, num_pieces),
        word_starts=rng.random(num_pieces) >= 0.25,
        offsets=np.arange(num_blocks + 1) * length,
        indices=np.arange(num_blocks),
        units=np.empty((0, 2), dtype=np.int64),
    )


def million_pieces_a_second(config: MaskingConfig, blocks: FlatBlocks, repeats: int) -> float:
    """Return the median speed of `repeats` calls, each for another epoch."""
    vocabulary = MaskingVocabulary(4, (0, 1, 2, 3, 4), np.arange(VOCAB_SIZE)[::-1])
    seconds = []
    for epoch in range(repeats + 1):  # the first call warms up
        start = time.perf_counter()
        mask_blocks(blocks, config, seed=0, epoch=epoch, vocabulary=vocabulary)
        seconds.append(time.perf_counter() - start)
    return len(blocks.pieces) / statistics.median(seconds[1:]) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    shapes = [(length, num_blocks) for length in (128, 510) for num_blocks in (256, 512, 1024)]
    print("million pieces a second".ljust(24) + "".join(f"{num}x{length}".rjust(10) for length, num in shapes))
    for name, config in CONFIGS.items():
        speeds = [million_pieces_a_second(config, random_blocks(num, length), repeats) for length, num in shapes]
        print(name.ljust(24) + "".join(f"{speed:10.1f}" for speed in speeds))


if __name__ == "__main__":
    main()
