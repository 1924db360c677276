"""Tasks of real text."""
