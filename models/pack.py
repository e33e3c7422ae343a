"""Put trained models into a model package: the base whole, its siblings as differences from it, all in half precision.

    python models/pack.py --base runs/base --sibling qa=runs/qa --sibling ner=runs/ner --sibling coref=runs/coref

For maintainers. What the package holds now is replaced once all has been made. Prints the sizes; more than 60 MB are
refused. The names are those of the package's entry points.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from spanbert.convert import ConvertConfig
from spanbert.convert import run as convert
from spanbert.durable_files import hash_file
from spanbert.errors import SpanBertError
from spanbert.shipped_models import CHECKSUMS, DEFAULT_MODEL, OUR_MODELS

MOST_BYTES = 60_000_000
"""Of all models of a package together."""

PACKAGE = Path(__file__).parent / DEFAULT_MODEL / "src" / DEFAULT_MODEL.replace("-", "_")


def pack(base: Path, siblings: dict[str, Path], package: Path) -> dict[str, int]:
    """Store a base and models fine-tuned from it in a package.

    Args:
        base: folder of the pre-trained model.
        siblings: what is added to the base's name -> folder of a model fine-tuned from it.
        package: folder of the Python package; all models in it are replaced.

    Returns:
        The size of each model in bytes, by name.

    Raises:
        SpanBertError: a name is not announced, a model cannot be read, or all are too large together; the package is
            then as it was.
    """
    sources = {f"{DEFAULT_MODEL}-{suffix}": source for suffix, source in siblings.items()}
    if unknown := sorted(sources.keys() - OUR_MODELS):
        raise SpanBertError(f"the package announces no {unknown[0]}, only {', '.join(OUR_MODELS)}")
    with tempfile.TemporaryDirectory(dir=package.parent, prefix=".unfinished-") as folder:
        unfinished = Path(folder)
        _convert(base, unfinished / DEFAULT_MODEL)
        for name, source in sources.items():
            _convert(source, unfinished / name, base=unfinished / DEFAULT_MODEL)
        models = sorted(unfinished.iterdir())
        sizes = {model.name: sum(file.stat().st_size for file in model.iterdir()) for model in models}
        if (total := sum(sizes.values())) > MOST_BYTES:
            listed = ", ".join(f"{model} {size / 1e6:.1f}" for model, size in sizes.items())
            raise SpanBertError(
                f"{total / 1e6:.1f} MB ({listed}), and {MOST_BYTES / 1e6:.0f} MB are the most: make one smaller"
            )
        _write_checksums(unfinished)
        for old in package.glob(f"{DEFAULT_MODEL}*"):
            shutil.rmtree(old)
        for new in sorted(unfinished.iterdir()):
            new.replace(package / new.name)
    return sizes


def _convert(source: Path, output: Path, base: Path | None = None) -> None:
    options = ConvertConfig(
        source=str(source), output=output, half_precision="fp16", base=None if base is None else str(base), quiet=True
    )
    convert(options)
    # The card of a run names folders of the machine; the package's own card tells of all models.
    (output / "README.md").unlink(missing_ok=True)


def _write_checksums(package: Path) -> None:
    files = {
        file.relative_to(package).as_posix(): {"size": file.stat().st_size, "sha256": hash_file(file)}
        for file in sorted(package.glob("*/*"))
    }
    (package / CHECKSUMS).write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Pack what the command line names; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of the pre-trained model")
    parser.add_argument(
        "--sibling", action="append", default=[], metavar="NAME=FOLDER", help="a fine-tuned one, such as ner=tuned"
    )
    arguments = parser.parse_args()
    siblings = {name: Path(folder) for name, _, folder in (given.partition("=") for given in arguments.sibling)}
    try:
        sizes = pack(arguments.base, siblings, PACKAGE)
        shutil.rmtree(
            PACKAGE.parents[1] / "build", ignore_errors=True
        )  # setuptools would put its old files into a wheel
    except SpanBertError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for model, size in sizes.items():
        print(f"{model:<28} {size / 1e6:6.1f} MB")
    print(f"{'all':<28} {sum(sizes.values()) / 1e6:6.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
