"""A Kubernetes cluster on one machine, as far as dask-kubernetes needs one; see README.md."""
