"""Pre-training: masked spans, predicted from their pieces and from their boundaries (Joshi et al. 2019)."""
