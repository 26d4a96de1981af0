"""What to do next: pure functions and their options."""
