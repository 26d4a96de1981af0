"""Kriging: a Gaussian process over the blocks, fitted to the results' inner products."""
