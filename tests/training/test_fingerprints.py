"""What is told of two runs that differ."""

from __future__ import annotations

from spanbert.training.fingerprints import differences


def test_only_what_differs_is_told_and_no_hashes() -> None:
    before = {
        "steps": 30,
        "train": "a",
        "settings": {"stride": 16, "head": "span"},
        "files": {"a": "0f", "dev": "1e", "gone": "2d"},
        "lost": 1,
    }
    now = {"steps": 30, "train": "b", "settings": {"stride": 8, "head": "span"}, "files": {"b": "0f", "dev": "3c"}}
    assert differences(before, now) == [
        "the contents of dev have changed",
        "lost: was 1, now None",
        "settings: stride: was 16, now 8",
        "train: was 'a', now 'b'",
    ]
    assert differences(now, now) == []
