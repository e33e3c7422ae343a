"""Question answering: the stretch of a text that answers a question, or that there is none (Joshi et al. 2019, 4.1)."""
