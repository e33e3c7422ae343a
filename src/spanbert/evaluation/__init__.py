"""How sure a figure is, and what a person wants to see of an evaluation; generic over tasks, and without torch."""
