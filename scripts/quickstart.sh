#!/bin/sh
# A minute on the sample corpus that ships with the package: the shipped models answer questions, mark entities and link
# mentions; then examples -> a model of one's own -> figures, a report, answers; and a folder opened by plain transformers.
# Called by `make quickstart`.
set -eu
rm -rf quickstart
mkdir quickstart
cd quickstart

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
run() {  # show a command as one would type it, and run it
  printf '$'
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./=-]*) printf ' "%s"' "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '\n'
  "$@"
}

step "1. Text: 81 short English articles that ship with the package (yours would be files of your own)"
run spanbert sample text

step "2. Ask: spanbert-mini-en-qa was fine-tuned to find the answer in a text of any length"
run spanbert predict spanbert-mini-en-qa text/places-tristan-da-cunha.txt --format text \
  --question "Who asked to remain on the island in 1817?" --question "How long does a ship from Cape Town take?" \
  --question "When did the volcano open?"

step "3. Mark entities: spanbert-mini-en-ner, a text of a line each"
cat > new.txt <<'TEXT'
Maria Lindqvist sold the mill in Halifax to Castellan Home in March 1957.
I am so excited to see Rihanna in London tonight!
TEXT
run spanbert predict spanbert-mini-en-ner new.txt --format text

step "4. Link mentions of the same thing: spanbert-mini-en-coref, a whole document"
run spanbert predict spanbert-mini-en-coref text/people-olena-kowalchuk.txt --format text

step "5. The encoder behind them: what it was trained to do, mask spans, and what it fills in"
run spanbert preview text/places-tristan-da-cunha.txt --num-blocks 1
run spanbert fill --top-k 3 "He died in [MASK]." "She was elected to the United States [MASK]."

step "6. A model of your own: examples with answers, for a task (spanbert finetune --help lists the tasks)"
run spanbert sample data --task ner

step "7. Fine-tune the shipped encoder (a quarter of a minute)"
run spanbert finetune ner --train data/train.jsonl --dev data/dev.jsonl --output tuned --head crf --learning-rate 5e-4 \
  --epochs 5

step "8. Evaluate: the official figures with their intervals, and a report of the errors"
run spanbert evaluate tuned data/dev.jsonl --output report.html

step "9. Predict with it; without --format text the answers are JSON lines"
run spanbert predict tuned new.txt

step "10. What spanbert writes opens in plain transformers, here the shipped encoder with its pre-training head"
run spanbert convert spanbert-mini-en --output model
cat > open_in_transformers.py <<'EOF'
from transformers import AutoModelForMaskedLM, AutoTokenizer, logging

logging.set_verbosity_error()  # it would report cls.sbo.*, the span boundary head, for which BERT has no place
logging.disable_progress_bar()
tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModelForMaskedLM.from_pretrained("model")
inputs = tokenizer("He died in [MASK].", return_tensors="pt")
logits = model(**inputs).logits[inputs.input_ids == tokenizer.mask_token_id]
print(type(model).__name__, "says:", tokenizer.convert_ids_to_tokens(logits.topk(3).indices[0].tolist()))
EOF
run python open_in_transformers.py

cat <<'EOF'

What to expect of these models
  spanbert-mini-en has 9 million parameters and was pre-trained for three hours on two processor cores. It finds what stands
  there in plain words, misses much of the rest, and answers questions that have no answer. The figures stand in
  models/spanbert-mini-en/README.md. A probability says how far to trust an answer. A larger BERT of your choice goes through the
  same commands (--model), and so does your own text: docs/fine-tuning.md and docs/pretrain-your-domain.md.

  report   quickstart/report.html
  curves   quickstart/tuned/curves.png
  models   quickstart/tuned, quickstart/model          (README.md in tuned is its model card)
  next     spanbert --help
EOF
