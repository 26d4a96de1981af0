"""What happened in runs."""
