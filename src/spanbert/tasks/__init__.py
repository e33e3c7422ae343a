"""The tasks: one vertical slice each."""
