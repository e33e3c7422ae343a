"""Fine-tuning: from examples with answers to a model of a task."""
