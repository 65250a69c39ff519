"""How fast `tator` is beside its peers: `python -m benchmarks`."""
