"""Measurements that `svg-pyro benchmark` prints."""
