"""The table of tensor names is complete and can be read both ways."""

from __future__ import annotations

import pytest
from tiny_models import tiny_bert, tiny_model
from transformers import BertModel

from spanbert.key_maps import (
    ENCODER,
    ENCODER_2019,
    HUGGING_FACE,
    HUGGING_FACE_2019,
    ORIGINAL,
    TIED,
    KeyMap,
    key_map_of,
)

OURS = [name for name in tiny_model(nsp=True).state_dict() if name not in TIED]


@pytest.mark.parametrize("key_map", [HUGGING_FACE, HUGGING_FACE_2019, ORIGINAL])
def test_names_of_a_whole_model_survive_the_round_trip(key_map: KeyMap) -> None:
    theirs = [key_map.to_theirs(name) for name in OURS]
    assert len(set(theirs)) == len(OURS)
    assert [key_map.to_ours(name) for name in theirs] == OURS
    assert key_map_of(theirs) == key_map


@pytest.mark.parametrize("key_map", [ENCODER, ENCODER_2019])
def test_names_of_an_encoder_survive_the_round_trip(key_map: KeyMap) -> None:
    ours = [name for name in OURS if name.startswith("bert.")]
    theirs = [key_map.to_theirs(name) for name in ours]
    assert [key_map.to_ours(name) for name in theirs] == ours
    assert key_map_of(theirs) == key_map


def test_hugging_face_names_are_ours() -> None:
    bert = tiny_bert().state_dict()
    assert {name for name in bert if name not in TIED} == {name for name in OURS if not name.startswith("cls.sbo.")}
    encoder = tiny_bert(BertModel).state_dict()
    assert {ENCODER.to_ours(name) for name in encoder} == {name for name in OURS if name.startswith("bert.")}


def test_names_of_the_original_release() -> None:
    head = "decoder.cls.pair_target_predictions."
    expected = {
        "decoder.bert.embeddings.LayerNorm.gamma": "bert.embeddings.LayerNorm.weight",
        "decoder.bert.encoder.layer.11.output.LayerNorm.beta": "bert.encoder.layer.11.output.LayerNorm.bias",
        "decoder.cls.predictions.transform.LayerNorm.gamma": "cls.predictions.transform.LayerNorm.weight",
        f"{head}position_embeddings.weight": "cls.sbo.position_embeddings.weight",
        f"{head}mlp_layer_norm.linear1.weight": "cls.sbo.linear1.weight",
        f"{head}mlp_layer_norm.linear2.bias": "cls.sbo.linear2.bias",
        f"{head}mlp_layer_norm.layer_norm1.gamma": "cls.sbo.layer_norm1.weight",
        f"{head}mlp_layer_norm.layer_norm2.beta": "cls.sbo.layer_norm2.bias",
        f"{head}bias": "cls.sbo.bias",
        f"{head}decoder.weight": "cls.sbo.decoder.weight",
    }
    for theirs, ours in expected.items():
        assert ORIGINAL.to_ours(theirs) == ours
        assert ORIGINAL.to_theirs(ours) == theirs
