"""What the training loop collects, and what it goes on from."""
