"""What people see: HTML of arrays and runs, progress, plots."""
