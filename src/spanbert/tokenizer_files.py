"""The files of a BERT tokenizer: tokenizer.json, tokenizer_config.json and vocab.txt, read and written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from spanbert.errors import CheckpointError

PAD, UNK, CLS, SEP, MASK = SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PREFIX = "##"

# A longer word becomes [UNK]: the limit of BERT's own tokenizer.
_MAX_WORD_CHARACTERS = 100
# tokenizer_config.json -> attribute of the normaliser
_NORMALIZER_KEYS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def bert_tokenizer(
    vocabulary: dict[str, int],
    *,
    lowercase: bool,
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = True,
) -> Tokenizer:
    """Return BERT's tokenizer with this vocabulary, which must hold the special pieces."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNK, max_input_chars_per_word=_MAX_WORD_CHARACTERS))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=PREFIX)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, vocabulary[CLS]), (SEP, vocabulary[SEP])],
    )
    return tokenizer


def read_tokenizer(name_or_path: str | Path) -> Tokenizer:
    """Read the tokenizer of a folder, or of a shipped model or a repository of the hub by its name.

    Raises `CheckpointError` where there is none, or one that is not BERT's.
    """
    folder = Path(name_or_path)
    if not folder.is_dir():
        from spanbert.checkpoint_sources import model_folder  # which needs tokenizers itself

        folder = model_folder(name_or_path, tokenizer_only=True)
    config = _read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    if (folder / "tokenizer.json").is_file():
        return _from_json(folder / "tokenizer.json", config)
    if (folder / "vocab.txt").is_file():
        return _from_vocabulary(folder / "vocab.txt", config)
    record = _read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    if record and record.get("status") != "finished":
        verb = record.get("verb", "pretrain")
        raise CheckpointError(f"{folder}: this run has no model yet: finish it with `spanbert {verb} ... --resume`")
    raise CheckpointError(f"{folder} holds neither tokenizer.json nor vocab.txt: the model's tokenizer is missing")


def write_tokenizer(tokenizer: Tokenizer, pieces: list[str], folder: Path) -> None:
    """Write all three files, such that `transformers` opens them with the same pieces for every text."""
    folder.mkdir(parents=True, exist_ok=True)
    state = json.loads(tokenizer.to_str())
    config: dict[str, Any] = {
        "cls_token": CLS,
        "mask_token": MASK,
        "pad_token": PAD,
        "sep_token": SEP,
        "unk_token": UNK,
    }
    normalizer = state["normalizer"] or {}
    if normalizer.get("type") == "BertNormalizer" and state["pre_tokenizer"] == {"type": "BertPreTokenizer"}:
        config |= {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": normalizer["lowercase"],
            "strip_accents": normalizer["strip_accents"],
            "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        }
    else:
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    _write_text(folder / "tokenizer.json", json.dumps(state, ensure_ascii=False, indent=1))
    _write_text(folder / "tokenizer_config.json", json.dumps(config, indent=1, sort_keys=True))
    _write_text(folder / "vocab.txt", "".join(piece + "\n" for piece in pieces))


def _from_json(path: Path, config: dict[str, Any]) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(tokenizer.model, models.WordPiece):
        kind = type(tokenizer.model).__name__
        raise CheckpointError(f"{path} is a {kind} tokenizer: only BERT's, which are WordPiece, are read")
    _check_special_pieces(tokenizer.token_to_id, path)  # a dict of all pieces takes several milliseconds to make
    # Where the two files disagree, the configuration wins: `transformers` builds the normaliser from it.
    if isinstance(tokenizer.normalizer, normalizers.BertNormalizer):
        for key, attribute in _NORMALIZER_KEYS.items():
            if key in config:
                setattr(tokenizer.normalizer, attribute, config[key])
    return tokenizer


def _from_vocabulary(path: Path, config: dict[str, Any]) -> Tokenizer:
    pieces = _read_text(path).split("\n")
    if pieces[-1] == "":
        pieces.pop()
    vocabulary = {piece.rstrip("\r"): number for number, piece in enumerate(pieces)}
    _check_special_pieces(vocabulary.get, path)
    # Old folders have no configuration. A lower-casing tokenizer has no use for upper-case pieces.
    has_upper_case = any(piece != piece.lower() for piece in vocabulary if not _is_reserved(piece))
    return bert_tokenizer(
        vocabulary,
        lowercase=config.get("do_lower_case", not has_upper_case),
        strip_accents=config.get("strip_accents"),
        tokenize_chinese_chars=config.get("tokenize_chinese_chars", True),
    )


def _check_special_pieces(number_of: Callable[[str], int | None], path: Path) -> None:
    if missing := [piece for piece in SPECIAL_PIECES if number_of(piece) is None]:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}: it is not a BERT vocabulary")


def _is_reserved(piece: str) -> bool:
    return piece in SPECIAL_PIECES or (piece.startswith("[unused") and piece.endswith("]"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    return content


def _read_text(path: Path) -> str:
    try:
        # newline="" keeps pieces that are line separators of another kind whole.
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8: byte {error.start}") from error


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
