#!/bin/sh
# The main job from end to end, on the sample corpus that ships with the package: text -> vocabulary -> corpus ->
# pre-trained model -> filled spans; then examples with answers -> fine-tuned model -> figures, a report, answers; and a
# folder opened by plain transformers. Called by `make quickstart`.
set -eu
rm -rf quickstart
mkdir quickstart
cd quickstart

step() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() { printf '$ %s\n' "$*"; "$@"; }

step "1. Text: 81 short English articles that ship with the package (yours would be files of your own)"
run spanbert sample text

step "2. What pre-training masks in it: whole spans of words"
run spanbert preview text/places-tristan-da-cunha.txt --num-blocks 2

step "3. Text -> vocabulary -> corpus"
run spanbert prepare text --document-end file --vocab-size 4000 --output corpus

step "4. Pre-train a small SpanBERT (2 layers x 128; a minute or two on 2 cores)"
run spanbert pretrain corpus --output model --size tiny --epochs 60 --learning-rate 1e-3 --held-out 0.1

step "5. Fill masked spans: the masked language model and the span boundary head vote together"
run spanbert fill model --top-k 3 "He died in [MASK]." "He bought it for a few [MASK] [MASK] the market."

step "6. Examples with answers, for a task: the entities of 362 paragraphs (spanbert finetune --help lists the tasks)"
run spanbert sample data --task ner
run spanbert check ner data/dev.jsonl

step "7. Fine-tune the model that you have just pre-trained (half a minute)"
run spanbert finetune ner --model model --train data/train.jsonl --dev data/dev.jsonl --output tuned \
  --head crf --learning-rate 1e-3 --epochs 12

step "8. Evaluate: the official figures with their intervals, and a report of the errors"
run spanbert evaluate tuned data/dev.jsonl --output report.html

step "9. Predict: lines of text in, JSON lines out"
echo "Maria Lindqvist sold the mill in Halifax for £40,000 in March 1957." > new.txt
run cat new.txt
run spanbert predict tuned new.txt

step "10. What spanbert writes opens in plain transformers, here the pre-trained model"
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

What a few minutes on 23,000 words can teach, and what not
  The pre-trained model learns which words are frequent, and little of the grammar around them. To say something sensible
  about text it has not seen, it needs a thousand times as much text, and more time. The fine-tuned one has seen 288
  paragraphs. It has learned what dates and sums of money look like; names that it never saw it finds or misses by
  chance, and what kind of name they are it mostly guesses. The report shows this, error by error. docs/results.md says
  what a real English BERT gives, with the same commands. With text and examples of your own: docs/pretrain-your-domain.md
  and docs/fine-tuning.md.

  report   quickstart/report.html
  curves   quickstart/model/curves.png, quickstart/tuned/curves.png
  models   quickstart/model, quickstart/tuned          (README.md in each is its model card)
  next     spanbert --help
EOF
