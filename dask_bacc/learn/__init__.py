"""Training on coded data; needs the extra ``learn``."""

from dask_bacc.learn.advice import Advice
from dask_bacc.learn.policies import POLICIES, Policy
from dask_bacc.learn.trainer import CodedTrainer

__all__ = ["POLICIES", "Advice", "CodedTrainer", "Policy"]
