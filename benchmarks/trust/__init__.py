"""Errors against their bars over awkward data and functions."""
