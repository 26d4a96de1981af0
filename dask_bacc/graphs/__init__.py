"""Dask graphs of the three stages: encode, map, decode; no client."""
