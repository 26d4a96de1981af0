"""Training on coded data; needs the extra ``learn``."""

from typing import TYPE_CHECKING

from dask_bacc import _lazy

if TYPE_CHECKING:
    from dask_bacc.learn.advice import Advice
    from dask_bacc.learn.policies import POLICIES, Policy
    from dask_bacc.learn.trainer import CodedTrainer

__all__ = ["POLICIES", "Advice", "CodedTrainer", "Policy"]

#: Workers need the gradients alone, and not what trains by them.
__getattr__, __dir__ = _lazy.attached(
    __name__,
    {"advice": ("Advice",), "policies": ("POLICIES", "Policy"), "trainer": ("CodedTrainer",)},
)
