"""Rows of blocks as the points of the process."""
