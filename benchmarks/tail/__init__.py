"""Time to the answer with slow and hung workers, beside what other engines take."""
