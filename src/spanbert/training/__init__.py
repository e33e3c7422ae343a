"""The only training loop: token-budget batches, exact resume, validation, records."""
