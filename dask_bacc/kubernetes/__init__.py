"""Manifests for coded jobs on Kubernetes, and what would become of them there."""

from dask_bacc.kubernetes.clouds import CLOUDS, Cloud
from dask_bacc.kubernetes.manifests import manifests
from dask_bacc.kubernetes.validation import problems

__all__ = ["CLOUDS", "Cloud", "manifests", "problems"]
