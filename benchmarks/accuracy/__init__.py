"""How large the error is and how well it is predicted."""
