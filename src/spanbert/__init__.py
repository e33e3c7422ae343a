"""Pre-train span-aware Transformer encoders on your own text."""
