"""Schedulers and workers as processes that can be stopped, killed and resumed."""
