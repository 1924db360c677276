"""Tasks of a prompt with a right answer."""
