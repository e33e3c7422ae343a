#!/bin/sh
# The main job from end to end, on the sample corpus that ships with the package: text -> vocabulary -> corpus ->
# pre-trained model -> filled spans -> the same folder opened by plain transformers. Called by `make quickstart`.
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

step "4. Pre-train a small SpanBERT (2 layers x 128; two to four minutes on 2 cores)"
run spanbert pretrain corpus --output model --size tiny --steps 3000 --batch-size 16 --learning-rate 1e-3 --dropout 0 \
  --held-out 0.1 --validate-every 300 --save-every 1000

step "5. Fill masked spans: the masked language model and the span boundary head vote together"
run spanbert fill model --top-k 3 \
  "The bridge was built in the nineteenth [MASK]." \
  "She has worked at the [MASK] since last year." \
  "He bought it for a few [MASK] [MASK] the market."

step "6. The folder opens in plain transformers"
cat > open_in_transformers.py <<'EOF'
from transformers import AutoModelForMaskedLM, AutoTokenizer, logging

logging.set_verbosity_error()  # it would report cls.sbo.*, the span boundary head, for which BERT has no place
logging.disable_progress_bar()
tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModelForMaskedLM.from_pretrained("model")
inputs = tokenizer("The bridge was built in the nineteenth [MASK].", return_tensors="pt")
logits = model(**inputs).logits[inputs.input_ids == tokenizer.mask_token_id]
print(type(model).__name__, "says:", tokenizer.convert_ids_to_tokens(logits.topk(3).indices[0].tolist()))
EOF
run python open_in_transformers.py

cat <<'EOF'

What a few minutes on 19,000 words can teach, and what not
  The model learns which words are frequent, a little of the grammar around them, and then more and more of these 81
  texts by heart: the training loss goes on falling while the loss on the held-out documents (above, and in the picture)
  soon rises again. Its guesses are grammatical at best. To say something sensible about text it has not seen, a model
  needs a thousand times as much of it, and more time. The same commands do that with text of your own:
  docs/pretrain-your-domain.md says how, docs/results.md shows what came out.

  curves   quickstart/model/curves.png
  model    quickstart/model          (README.md in it is its model card)
  next     spanbert --help
EOF
