"""Batches to weights: SVI's loop, its ELBOs and optimiser, several processes."""
