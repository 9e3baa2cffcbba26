"""Clips of a robot arm that pushes blocks, simulated and stored as BAIR's are."""
