"""Sphinx configuration."""

project = "dask-bacc"
author = "the dask-bacc developers"
copyright = "2026, the dask-bacc developers"  # noqa: A001
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
html_theme = "furo"
html_title = "dask-bacc"
exclude_patterns = ["_build", "examples/kubernetes"]
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
# The outputs are those of the tests.
nb_execution_mode = "off"
