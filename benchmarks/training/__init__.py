"""Training by every policy, with the same drawn delays."""
