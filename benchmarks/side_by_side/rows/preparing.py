"""From text to masked blocks: `spanbert prepare` against `tokenizers` alone, and masking on one core."""

from __future__ import annotations

from collections.abc import Callable

from side_by_side.comparison import Aim, Comparison, Options, Results, Side, speed_ratio

_MEGABYTES = 20
_SHARE = 0.8
_MILLION_PIECES = 10.0
_SCHEMES = {
    "paper, spans": {"scheme": "spans", "preset": "paper"},
    "as-released, spans": {"scheme": "spans", "preset": "as-released"},
    "whole-words": {"scheme": "whole-words", "preset": "paper"},
    "pieces": {"scheme": "pieces", "preset": "paper"},
}
_CALLS = ((512, 128), (512, 510))
_SMALL_CALL = (64, 128)
_PIECES_OF_A_ROUND = 5_000_000


def comparisons(options: Options) -> list[Comparison]:
    """A row of each; a GPU would change nothing."""
    return [] if options.device == "cuda" else [_prepare(options), _masking()]


def sources(options: Options) -> list[str]:
    """Files of real text; none means the sample texts."""
    return options.files("pretraining/wiki_en_2014.txt.gz", "pretraining/wiki_en_2021.txt.gz")


def source_words(options: Options) -> str:
    """What `sources` are, for the page."""
    return "the sample texts, repeated" if options.data is None else "English Wikipedia"


def _prepare(options: Options) -> Comparison:
    shared = {
        "text": str(options.scratch / "prepare.txt"),
        "sources": sources(options),
        "megabytes": _MEGABYTES,
        "tokenizer": str(options.model),
        "output": str(options.scratch / "prepare-corpus"),
    }
    peer = "prepare_tokenizers"
    sides = (
        Side("ours", "spanbert prepare", "prepare_spanbert", shared, proves=True),
        Side("peer", "tokenizers, encode_batch", peer, shared | {"method": "encode_batch"}, proves=True),
        Side("fast", "tokenizers, encode_batch_fast", peer, shared | {"method": "encode_batch_fast"}, proves=True),
    )
    return Comparison(
        name="prepare",
        title="Preparing text",
        does=(
            f"{_MEGABYTES} million bytes of {source_words(options)} (an uncompressed file in the system's cache) with "
            "the tokenizer of --model. Ours: the whole command, from the start of its process to its end, a worker for "
            "each core; it reads, finds documents, encodes, writes the corpus, hashes it and waits for the disk. Its "
            "memory is that of all of its processes, with the libraries they load. The others have the lines in memory "
            "and encode them, 4,096 a call, on all cores, and neither read nor keep anything; `encode_batch_fast` does "
            "without offsets, as ours does"
        ),
        unit="bytes",
        sides=sides,
        aims=(
            Aim("share of the speed of encode_batch", speed_ratio("ours", "peer"), least=_SHARE, unit="%"),
            Aim("share of the speed of encode_batch_fast", speed_ratio("ours", "fast"), unit="%"),
            Aim("MiB at the peak, all processes", lambda results: results["ours"].peak_mib, unit="MiB"),
        ),
        tolerance=0.0,
        proof="number and checksum of all pieces",
        rounds=5,
    )


def _masking() -> Comparison:
    judged = [_masking_side(scheme, blocks, length) for scheme in _SCHEMES for blocks, length in _CALLS]
    small = _masking_side("paper, spans", *_SMALL_CALL)
    return Comparison(
        name="masking",
        title="Masking on one core",
        does=(
            "Masking alone, neither reading pieces nor making tensors: random text in which a piece continues a word "
            "with probability 0.25, 15 % of it masked, every call for another epoch, one thread. A side is a scheme, "
            "the blocks of a call and their pieces. A small call costs more a piece: it is told, not judged"
        ),
        unit="pieces",
        sides=(*judged, small),
        aims=(
            *(Aim(side.name, _million_pieces(side.key), least=_MILLION_PIECES, unit="M pieces/s") for side in judged),
            Aim(small.name, _million_pieces(small.key), unit="M pieces/s"),
        ),
        rounds=5,
    )


def _masking_side(scheme: str, blocks: int, length: int) -> Side:
    calls = max(2, round(_PIECES_OF_A_ROUND / (blocks * length)))
    settings = {**_SCHEMES[scheme], "blocks": blocks, "length": length, "calls": calls}
    name = f"{scheme}, {blocks} x {length}"
    key = name.replace(",", "").replace(" ", "-")
    return Side(key, name, "masking", settings, environment={"OMP_NUM_THREADS": "1"})


def _million_pieces(key: str) -> Callable[[Results], float]:
    return lambda results: results[key].speed / 1e6
