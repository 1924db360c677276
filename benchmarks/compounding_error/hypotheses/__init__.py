"""What was written down before the runs, and what the records say of it."""
