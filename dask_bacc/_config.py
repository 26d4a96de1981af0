"""Defaults of ``bacc.yaml``, and records made of what is configured."""

from __future__ import annotations

from dataclasses import fields
from importlib.resources import files
from typing import Any, TypeVar

import dask
import yaml

T = TypeVar("T")


def register_defaults() -> None:
    """Add the packaged defaults below whatever the user has configured."""
    defaults = yaml.safe_load(files("dask_bacc").joinpath("bacc.yaml").read_text("utf-8"))
    dask.config.update_defaults(defaults)


def configured(kind: type[T], section: str) -> T:
    """A dataclass of numbers, each from the entry of its name in a section.

    Examples
    --------
    >>> from dask_bacc.policy.lateness import Patience
    >>> configured(Patience, "bacc.backup").quantile
    0.5
    """
    names: list[str] = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {
        name: float(dask.config.get(f"{section}.{name.replace('_', '-')}")) for name in names
    }
    return kind(**values)
