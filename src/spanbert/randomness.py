"""Random numbers as a function of (seed, epoch, index, purpose, counter), not of what was drawn before.

The generator is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", section 4).
Its n-th number is a hash of `state + n * gamma`, so every number can be computed by itself, in any order, for many
streams at once. Each block (or document, or example) has a stream of its own: its key is the state, and the counter is
n. What is drawn for a block therefore does not depend on the batch, the worker or the run that asks for it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_WORD = (1 << 64) - 1


def block_keys(seed: int, epoch: int, indices: npt.NDArray[np.integer], purpose: str) -> UInt64Array:
    """Return the key of one stream per index, uint64, in the shape of `indices`.

    Streams whose seed, epoch, index or purpose differ have nothing to do with each other. `purpose` names what the
    numbers are for ("span starts", "order of blocks", ...), so that two parts of the program never share numbers.
    """
    name = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    key = np.array([name], dtype=np.uint64)
    for part in (seed, epoch):
        key = _mix(key ^ _mix(np.array([part & _WORD], dtype=np.uint64) + _GAMMA))
    return _mix(key ^ _mix(np.asarray(indices).astype(np.uint64) + _GAMMA))


def bits(keys: UInt64Array, counters: npt.NDArray[np.integer] | int) -> UInt64Array:
    """Return 64 random bits for each pair of key and counter (>= 0); the two arrays broadcast against each other."""
    # The first number of SplitMix64 is the hash of state + gamma, hence counter + 1. An array even for one counter,
    # because numpy warns of overflow, which is meant here, for scalars only.
    steps = np.atleast_1d(counters).astype(np.uint64) + np.uint64(1)
    return _mix(keys + steps * _GAMMA)


def uniform(keys: UInt64Array, counters: npt.NDArray[np.integer] | int) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1), multiples of 2**-53, in the broadcast shape of `keys` and `counters`."""
    return (bits(keys, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(
    keys: UInt64Array, counters: npt.NDArray[np.integer] | int, bounds: npt.NDArray[np.integer] | int
) -> Int64Array:
    """Return whole numbers in 0..bound-1, int64, in the broadcast shape of `keys`, `counters` and `bounds`.

    Bounds lie in 1..2**32. The upper 32 random bits are multiplied by the bound and shifted back, so a number's
    probability is off by at most 2**-32: not to be seen with bounds such as the pieces of a block or a vocabulary.
    """
    scaled = (bits(keys, counters) >> np.uint64(32)) * np.asarray(bounds).astype(np.uint64)
    return (scaled >> np.uint64(32)).astype(np.int64)


def permutation(num: int, *, seed: int, epoch: int, purpose: str) -> Int64Array:
    """Return 0..num-1 in random order, int64 [num]."""
    return np.argsort(block_keys(seed, epoch, np.arange(num), purpose), kind="stable")


def _mix(state: UInt64Array) -> UInt64Array:
    # In place on one fresh array: this runs for every random number there is.
    mixed = state ^ (state >> np.uint64(30))
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return mixed
