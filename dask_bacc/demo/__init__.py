"""``dask bacc demo``."""
