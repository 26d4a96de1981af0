"""What a run would cost by every choice, known before it."""
