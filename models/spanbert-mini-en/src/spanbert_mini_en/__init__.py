"""Weights: a small English SpanBERT and models fine-tuned from it. `spanbert` finds them by entry points."""
