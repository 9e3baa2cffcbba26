"""Fetching and unpacking the published data sets."""
