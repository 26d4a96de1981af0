"""The one adapter for what is private or unstable in dask and distributed."""
