"""Classification of texts and of pairs of texts: one label, several labels, or a number."""
