#!/bin/sh
# How spanbert-mini-en was trained, stage by stage, from a clone of the repository of `spanbert`:
#
#     DATA=folder sh models/spanbert-mini-en/recipe.sh OUTPUT
#
# DATA/pretraining holds the training text, with the names and hashes of README.md. Each stage begins with the weights of the
# one before in 16 bits, a new optimiser and a warm-up of its own.
set -eu
here=$(pwd)
mkdir -p "$1"
cd "$1"

python "$here/benchmarks/real_text.py" novels "$DATA/pretraining/novels" > novels.jsonl
python "$here/benchmarks/real_text.py" wikitext "$DATA"/pretraining/wikitext2_heldout/*.gz > wikitext.jsonl
spanbert prepare "$DATA/pretraining/wiki_en_2014.txt.gz" "$DATA/pretraining/wiki_en_2021.txt.gz" \
  "$DATA"/pretraining/openstax/*.txt.gz novels.jsonl --output english --vocab-size 16000
spanbert prepare wikitext.jsonl --tokenizer english/tokenizer --output wikitext

# Stage 1, at a constant rate. It was interrupted once after some 2,060 steps, and went on with --resume.
spanbert pretrain english --output stage1 --layers 6 --width 256 --heads 4 --steps 9000 --batch-size 32 \
  --sequence-length 128 --learning-rate 2e-3 --optimizer muon --adam-betas 0.9 0.98 --schedule constant_with_warmup \
  --warmup 0.03 --dropout 0 --initializer-range 0.05 --budget 0.4 --validation wikitext --seed 0
spanbert convert stage1 --output stage1-fp16 --half-precision fp16
