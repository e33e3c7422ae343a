#!/bin/sh
# How spanbert-mini-en was trained, stage by stage, from a clone of the repository of `spanbert`:
#
#     DATA=folder sh models/spanbert-mini-en/recipe.sh OUTPUT
#
# DATA/pretraining holds the training text, with the names and hashes of README.md. Each stage begins with the weights of the
# one before in 16 bits, a new optimiser and a warm-up of its own. The commands were run one by one, never as one script.
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

# Stage 2. Its command said 6,500 steps with as many of warm-up, and it was stopped at 4,000, where the curve had flattened:
# at a constant rate that is the same.
spanbert pretrain english --from stage1-fp16 --output stage2 --steps 4000 --batch-size 64 --sequence-length 128 \
  --learning-rate 1.5e-3 --optimizer muon --adam-betas 0.9 0.98 --schedule constant_with_warmup --warmup 0.04875 --dropout 0 \
  --budget 0.3 --validation wikitext --seed 1 --held-out-seed 0
spanbert convert stage2 --output stage2-fp16 --half-precision fp16

# Stage 3: longer blocks, and the decay.
spanbert pretrain english --from stage2-fp16 --output stage3 --steps 2100 --batch-size 32 --sequence-length 512 \
  --learning-rate 1.5e-3 --optimizer muon --adam-betas 0.9 0.98 --schedule linear --warmup 0.03 --dropout 0 --budget 0.2 \
  --validation wikitext --seed 2 --held-out-seed 0
spanbert convert stage3 --output stage3-fp16 --half-precision fp16

# Question answering: SQuADShifts. A tenth of the Wikipedia articles is the dev set.
split() { python "$here/benchmarks/split_data.py" "$@"; }
split question-answering "$DATA/qa/squadshifts/new_wiki_v1.0.json.gz" parts/new_wiki --test-share 0.1
split question-answering "$DATA/qa/squadshifts/reddit_v1.0.json.gz" parts/reddit --test-share 0
split question-answering "$DATA/qa/squadshifts/amazon_reviews_v1.0.json.gz" parts/amazon --test-share 0
cat parts/new_wiki/train.jsonl parts/reddit/train.jsonl parts/amazon/train.jsonl > shifts-train.jsonl
spanbert finetune question-answering --model stage3-fp16 --train shifts-train.jsonl --dev parts/new_wiki/test.jsonl \
  --output qa --epochs 3 --batch-size 32 --learning-rate 3e-4 --freeze-embeddings

# Entities: WNUT-17.
spanbert finetune ner --model stage3-fp16 --train "$DATA/ner/wnut17/wnut17train.conll" \
  --dev "$DATA/ner/wnut17/emerging.dev.conll" --output ner --head crf --epochs 10 --batch-size 16 --learning-rate 3e-4 \
  --max-length 128 --stride 48 --dropout 0.1 --freeze-embeddings

# Coreference: the genres of OntoGUM whose texts are free.
free() {
  gzip -dc "$1" | awk '/^# begin document/ { keep = /GUM_(academic|bio|court|news|interview|voyage)_/ } keep'
}
free "$DATA/coref/ontogum/train.conll.gz" > ontogum-train.conll
free "$DATA/coref/ontogum/dev.conll.gz" > ontogum-dev.conll
split coreference ontogum-train.conll parts/ontogum --test-share 0
spanbert finetune coreference --model stage3-fp16 --train parts/ontogum/train.jsonl --dev ontogum-dev.conll --output coref \
  --genre none --singletons False --epochs 14 --learning-rate 2e-4 --head-learning-rate 5e-4 --hidden-size 256 \
  --dropout 0.1 --freeze-embeddings

python "$here/models/pack.py" --base stage3 --sibling qa=qa --sibling ner=ner --sibling coref=coref
