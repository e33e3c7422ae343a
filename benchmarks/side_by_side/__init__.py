"""Measurements in which this package and its peers take turns on one machine, in one run.

A `Comparison` (comparison.py) is a row of the summary: some sides, what they are to reach, and what was done, in words.
A module of `rows` makes comparisons from the options of the command line (`comparisons(options)`). A `Side` names a
module of `sides`, which runs as a process of its own (worker.py, standard library only, so that it also runs in the
environment of a peer), loads its model once and then does the same work whenever it is told to. `measuring.py` lets
them prove that they compute the same thing, then goes round them: A B A B. `report.py` keeps the last figures of each
row (recorded.json) and writes docs/benchmarks.md from them; `comparing.py` sets a new run beside them. `checks.py` and
`circumstances.py` look around before anything runs.
"""
