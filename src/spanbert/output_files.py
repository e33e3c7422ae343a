"""Where a verb must not write: over what it reads, be it its input or a file of the model that it runs."""

from __future__ import annotations

from pathlib import Path

from spanbert.errors import ConfigurationError


def refuse_overwriting(option: str, path: Path, *, model: str | Path, source: Path | None, what: str) -> None:
    """Refuse a file to write to, before anything is computed.

    Args:
        option: that names the file, as "--output".
        path: the file.
        model: the folder or name of the model that is run.
        source: the file that is read; None for standard input.
        what: it is in words, such as "the input".

    Raises:
        ConfigurationError: the file is what is read, or is there already and in the model's folder.
    """
    if source is not None and path.resolve() == source.resolve():
        raise ConfigurationError(f"{option} {path} is {what}: choose another name")
    folder = Path(model)
    if not (path.exists() and folder.is_dir()) or path.suffix == ".html":  # no model has pages: an older report
        return
    # A link to a file of the model is that file too.
    if path.resolve().is_relative_to(folder.resolve()) or any(map(path.samefile, folder.iterdir())):
        raise ConfigurationError(f"{option} {path} is a file of the model {model}, which is run: choose another name")
