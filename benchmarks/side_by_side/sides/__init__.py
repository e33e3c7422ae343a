"""The processes of the benchmarks, one module each: `load(settings)` gives the job of worker.py."""
