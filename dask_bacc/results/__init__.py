"""Results of a run and their decoding; no Dask."""
