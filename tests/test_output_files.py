"""No verb writes over what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanbert.errors import ConfigurationError
from spanbert.output_files import refuse_overwriting


def test_files_that_are_read_are_refused_under_every_name_and_others_are_not(tmp_path: Path) -> None:
    model, source, elsewhere = tmp_path / "model", tmp_path / "data.jsonl", tmp_path / "weights"
    (model / "adapter").mkdir(parents=True)
    for path in (source, elsewhere, model / "config.json", model / "adapter" / "config.json", model / "report.html"):
        path.write_text("{}")
    (model / "model.safetensors").symlink_to(elsewhere)  # as in the cache of the hub
    (tmp_path / "link").symlink_to(model / "config.json")

    def refuse(path: Path, of: str | Path = model) -> None:
        refuse_overwriting("--output", path, model=of, source=source, what="the input")

    for name in ("config.json", "adapter/config.json", "model.safetensors", "../weights", "../link", "adapter"):
        with pytest.raises(ConfigurationError, match=r"--output .* is a file of the model .*choose another name"):
            refuse(model / name)
    with pytest.raises(ConfigurationError, match=r"data\.jsonl is the input"):
        refuse(model / ".." / "data.jsonl")
    for path in (model / "new.jsonl", model / "report.html", tmp_path / "other.jsonl"):
        refuse(path)
    refuse(model / "config.json", "a-name-on-the-hub")
    refuse_overwriting("--output", tmp_path / "x", model=model, source=None, what="the input")
