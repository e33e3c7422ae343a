"""Coreference by fastcoref; runs in an environment with `fastcoref`, without `spanbert`.

Settings: `job`, `predict`, `train` or `calibrate`; `precision`; `model`, a folder; those of `coreference_shared`. Units
are words.

The model is fastcoref's own `FCorefModel` with the head of the model that it publishes (`HEAD`), on the encoder of the
comparison. It is put into fastcoref's own `FCoref` without that class's `__init__`, which loads a model from a folder.
`predict` is then fastcoref's, word lists in, clusters out; the words are given, so spaCy is neither loaded nor timed.

fastcoref 2.1.6 does not run with transformers 5 as it is: FCorefModel does not call `post_init`, and lacks what that
makes (`all_tied_weights_keys`; it has no tied weights). It gets an empty one here; nothing in its code is changed.

fastcoref's `CorefTrainer` wants a wandb session and a spaCy model, so the epoch that is timed is its loop written out:
its tokenisation, batches (5,000 pieces, made beforehand, as it does), collator, model with its loss, and AdamW with its
groups; no clipping, as there is none in it.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import datasets
import numpy as np
import torch
from fastcoref import FCoref, TrainingArgs
from fastcoref.coref_models.modeling_fcoref import FCorefModel
from fastcoref.utilities.collate import DynamicBatchSampler, LeftOversCollator
from fastcoref.utilities.coref_dataset import encode
from transformers import AutoConfig, AutoModel, AutoTokenizer

from side_by_side.sides.coreference_shared import mention_bias, num_links, num_words, read_documents
from side_by_side.worker import Job, serve

_MODULE = "coreference_fastcoref"

HEAD = {"max_span_length": 30, "top_lambda": 0.25, "ffnn_size": 1024, "dropout_prob": 0.3, "max_segment_len": 512}
"""config.json of biu-nlp/f-coref, `coref_head`. (The package's own default for training keeps more: top_lambda 0.4.)"""


class Side:
    """fastcoref with a model whose head is random."""

    def __init__(self, settings: dict[str, Any]) -> None:
        torch.set_num_threads(settings["threads"])
        logging.disable(logging.INFO)
        datasets.disable_progress_bars()
        self.settings = settings
        self.documents = read_documents(settings)
        config = AutoConfig.from_pretrained(settings["model"])
        config.coref_head = HEAD
        FCorefModel.all_tied_weights_keys = {}
        torch.manual_seed(0)
        model = FCorefModel(config)
        model.base_model.load_state_dict(AutoModel.from_pretrained(settings["model"]).state_dict())
        with torch.no_grad():
            model.mention_start_classifier.bias += mention_bias(settings, _MODULE)
        self.peer = peer = FCoref.__new__(FCoref)
        peer.device, peer.n_gpu, peer.seed = torch.device("cpu"), 0, 42
        peer.enable_progress_bar = False
        peer.nlp = None
        peer.model = model.eval()
        peer.max_segment_len, peer.max_doc_len = HEAD["max_segment_len"], None
        peer.tokenizer = AutoTokenizer.from_pretrained(
            settings["model"], use_fast=True, add_prefix_space=True, verbose=False
        )
        peer.collator = LeftOversCollator(peer.tokenizer, peer.device, peer.max_segment_len)

    def autocast(self) -> AbstractContextManager[object]:
        """fp32 is fastcoref's default on a CPU."""
        return torch.autocast("cpu", torch.bfloat16) if self.settings["precision"] == "bf16" else nullcontext()

    def prediction(self) -> Job:
        """`FCoref.predict` of all documents, in its default batches."""
        words = [document["words"] for document in self.documents]
        lengths = [len(ids) for ids in self.peer.tokenizer(words, is_split_into_words=True)["input_ids"]]
        kept = sum(int(length * HEAD["top_lambda"]) for length in lengths)

        def run() -> dict[str, Any]:
            with self.autocast():
                results = self.peer.predict(words, is_split_into_words=True)
            linked = sum(len(cluster) for result in results for cluster in result.clusters)
            return {"units": num_words(self.documents), "kept": kept, "linked": linked}

        return Job(run)

    def training(self) -> Job:
        """One epoch as in `CorefTrainer.train`."""
        args = TrainingArgs(model_name_or_path=self.settings["model"], output_dir="unused")
        model, tokenizer = self.peer.model, self.peer.tokenizer
        rows = [
            {"doc_key": str(number), "tokens": document["words"], "speakers": [], "clusters": document["clusters"]}
            for number, document in enumerate(self.documents)
        ]
        dataset = datasets.Dataset.from_list([row | encode(row, tokenizer, None) for row in rows])
        sampler = DynamicBatchSampler(
            dataset,
            collator=self.peer.collator,
            max_tokens=args.max_tokens_in_batch,
            max_segment_len=args.max_segment_len,
        )
        batches = list(sampler)
        optimizer = torch.optim.AdamW(
            self._groups(args), lr=args.learning_rate, betas=(args.adam_beta1, args.adam_beta2), eps=args.adam_epsilon
        )

        def run() -> dict[str, Any]:
            for batch in batches:
                model.zero_grad()
                model.train()
                with self.autocast():
                    outputs = model(batch, gold_clusters=batch["gold_clusters"], return_all_outputs=False)
                outputs[0].backward()
                optimizer.step()
            return {"units": num_words(self.documents), "steps": len(batches)}

        return Job(run)

    def _groups(self, args: TrainingArgs) -> list[dict[str, Any]]:
        groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self.peer.model.named_parameters():
            in_head = any(part in name for part in ("coref", "mention", "antecedent"))
            plain = any(part in name for part in ("bias", "LayerNorm.weight"))
            groups.setdefault((in_head, plain), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": args.head_learning_rate if in_head else args.learning_rate,
                "weight_decay": 0.0 if plain else args.weight_decay,
            }
            for (in_head, plain), parameters in groups.items()
        ]

    def calibration(self) -> Job:
        """What to add to the mention scores so that `num_links` mentions have an antecedent."""
        peer = self.peer

        def run() -> dict[str, Any]:
            best = []
            texts = [document["words"] for document in self.documents]
            dataset = peer._create_dataset(texts, is_split_into_words=True)
            with torch.no_grad():
                for batch in peer._prepare_batches(dataset, 10000):
                    best.append(peer.model(batch, return_all_outputs=True)[-1][..., :-1].amax(-1).flatten().numpy())
            last = np.sort(np.concatenate(best))[::-1][num_links(self.documents)]
            return {"units": num_words(self.documents), "mention_bias": -float(last) / 2}  # a pair has the bias twice

        return Job(run)


def load(settings: dict[str, Any]) -> Job:
    """The job that the settings name."""
    side = Side(settings)
    return {"predict": side.prediction, "train": side.training, "calibrate": side.calibration}[settings["job"]]()


if __name__ == "__main__":
    serve(load)
