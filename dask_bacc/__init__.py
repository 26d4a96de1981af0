"""Coded computing for Dask."""
