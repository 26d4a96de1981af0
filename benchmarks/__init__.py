"""Commands that give every number of the documentation."""
