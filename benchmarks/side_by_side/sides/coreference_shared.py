"""What both sides of coreference share; needs nothing but the standard library.

The heads have random weights. A constant is added to the mention scores of each, so that both find as many links as the
gold clusters have: a model that links everything, or nothing, would do another amount of work after its scores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

Document = dict[str, Any]
"""`words`, and `clusters` of mentions [first word, last word]."""


def read_documents(settings: dict[str, Any]) -> list[Document]:
    """What our side, which comes first, wrote to the file `documents`: the first `num_documents`."""
    documents: list[Document] = json.loads(Path(settings["documents"]).read_text(encoding="utf-8"))
    return documents[: settings["num_documents"]]


def mention_bias(settings: dict[str, Any], module: str) -> float:
    """What is to be added to the mention scores of a side; 0 for its calibration, and without gold clusters.

    The first process of a side has another one find it, in fp32, so that nothing of that is in its own memory.
    """
    if settings["job"] == "calibrate" or not num_links(read_documents(settings)):
        return 0.0
    path = Path(settings["biases"]) / f"{module}-{settings['num_documents']}.json"
    if not path.exists():
        calibration = settings | {"job": "calibrate", "precision": "fp32"}
        done = subprocess.run(
            [sys.executable, "-m", f"side_by_side.sides.{module}"],
            input=f"{json.dumps(calibration)}\nrun\n",
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(json.loads(done.stdout.splitlines()[-1])["mention_bias"]), encoding="utf-8")
    return float(json.loads(path.read_text(encoding="utf-8")))


def num_links(documents: list[Document]) -> int:
    """Mentions that follow another one of their cluster."""
    return sum(len(cluster) - 1 for document in documents for cluster in document["clusters"])


def num_words(documents: list[Document]) -> int:
    """Of all documents."""
    return sum(len(document["words"]) for document in documents)
