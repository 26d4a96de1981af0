"""Rounds that remember, beside rounds that do not."""
