"""Coreference resolution: which mentions of a text are the same thing."""
