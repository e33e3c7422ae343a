"""The paper's question at your size: which part of the method helps, on your corpus and your tasks."""
