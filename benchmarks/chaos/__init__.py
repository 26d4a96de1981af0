"""Runs on worker processes that are stopped, killed and resumed at random, and what held."""
