"""Coreference against fastcoref's F-coref: prediction, training, and documents of ever more words."""

from __future__ import annotations

from typing import Any

from side_by_side.comparison import Aim, Comparison, Options, Side, memory_ratio, speed_ratio

_TIMES = 2.0
_MEMORY = 0.5
_DOCUMENTS = 12
_TRAINED_DOCUMENTS = 4
_LENGTHS = (5_000, 10_000, 20_000, 50_000)
_WORDS = {"predict": "prediction", "train": "training"}
_OURS = "coreference_spanbert"
_PEER = "coreference_fastcoref"


def comparisons(options: Options) -> list[Comparison]:
    """Prediction, training and long documents, on a CPU."""
    if options.device == "cuda":
        return []
    return [_against("predict", _DOCUMENTS, options), _against("train", _TRAINED_DOCUMENTS, options), _long(options)]


def _shared(options: Options, documents: str, file: str) -> dict[str, Any]:
    return {
        "model": str(options.model),
        "sources": options.files(f"coref/ontogum/{file}.conll.gz"),
        "documents": str(options.scratch / f"coreference-{documents}.json"),
        "biases": str(options.scratch / "coreference-biases"),
    }


def _against(job: str, num_documents: int, options: Options) -> Comparison:
    shared = _shared(options, "documents", "dev") | {"job": job, "num_documents": num_documents}
    environment = {"TOKENIZERS_PARALLELISM": "false"}
    sides, aims = [], []
    for key, name, module, precision in (
        ("ours", "spanbert, its defaults", _OURS, "auto"),
        ("peer", "fastcoref, its defaults (fp32)", _PEER, "fp32"),
        ("ours-fp32", "spanbert, fp32", _OURS, "fp32"),
        ("peer-bf16", "fastcoref, under bf16 autocast", _PEER, "bf16"),
    ):
        python = options.fastcoref_python if module == _PEER else None
        if module == _OURS or python is not None:
            settings = shared | {"precision": precision}
            sides.append(Side(key, name, module, settings, python=python, environment=environment))
    if options.fastcoref_python is not None:
        aims = [
            Aim("speed, defaults against defaults", speed_ratio("ours", "peer"), least=_TIMES),
            Aim("peak memory, defaults against defaults", memory_ratio("ours", "peer"), most=_MEMORY),
            Aim("speed, fp32 against fp32", speed_ratio("ours-fp32", "peer")),
            Aim("speed, defaults against bf16 autocast, which is no option of it", speed_ratio("ours", "peer-bf16")),
            Aim("peak memory, defaults against bf16 autocast", memory_ratio("ours", "peer-bf16")),
        ]
    source = "the sample corpus" if options.data is None else "OntoGUM's development set"
    epoch = (
        "An epoch: each side's own batches, forward, backward and optimiser, with all features made beforehand"
        if job == "train"
        else "From lists of words to clusters"
    )
    return Comparison(
        name=f"coreference-{_WORDS[job]}",
        title=f"Coreference, {_WORDS[job]}",
        does=(
            f"The first {num_documents} documents of {source}. {epoch}. Both have the encoder of --model under a head "
            "with random weights of its own size, so there is no equal output to prove; a constant is added to the "
            "mention scores of each, so that they link as many mentions as the gold clusters have. fastcoref 2.1.6 has "
            "the settings of the model that it publishes, and an environment of its own"
        ),
        unit="words",
        sides=tuple(sides),
        aims=tuple(aims),
        rounds=5 if job == "predict" else 3,
        slow=job == "train",
    )


def _long(options: Options) -> Comparison:
    sides = [
        Side(
            str(length),
            f"spanbert, one document of {length:,} words",
            _OURS,
            _shared(options, f"long-{length}", "train")
            | {"job": "predict", "num_documents": 1, "joined": length, "precision": "auto"},
        )
        for length in _LENGTHS
    ]
    short, long = str(_LENGTHS[0]), str(_LENGTHS[-1])
    times = _LENGTHS[-1] // _LENGTHS[0]
    return Comparison(
        name="coreference-long",
        title="Coreference, long documents",
        does=(
            f"Prediction of one document, {'the sample corpus' if options.data is None else 'OntoGUM'} joined, with a "
            "random head. Documented: memory linear; time is linear but for the antecedents, of which every kept "
            "mention is compared with all before it"
        ),
        unit="words",
        sides=tuple(sides),
        aims=(
            Aim(
                f"time of {times} x words, over {times} x that of one",
                lambda results: results[long].seconds / (times * results[short].seconds),
            ),
            Aim(
                f"memory of {times} x words, over {times} x that of one",
                lambda results: results[long].peak_mib / (times * results[short].peak_mib),
                most=1.2,
            ),
        ),
        rounds=1,
        slow=True,
    )
