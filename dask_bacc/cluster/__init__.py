"""The dask side: encoding into a collection, runs over it, and what they report."""
