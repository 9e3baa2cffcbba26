"""Measurements that `examples/benchmark.py` prints."""
