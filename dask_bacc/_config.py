"""Makes the defaults of ``bacc.yaml`` known to dask's configuration."""

from __future__ import annotations

from importlib.resources import files

import dask
import yaml


def register_defaults() -> None:
    """Add the packaged defaults below whatever the user has configured."""
    defaults = yaml.safe_load(files("dask_bacc").joinpath("bacc.yaml").read_text("utf-8"))
    dask.config.update_defaults(defaults)
