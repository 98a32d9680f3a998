"""Pages that are made from the code, the notebooks and `benchmarks/results` when the documentation is built."""
