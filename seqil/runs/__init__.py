"""A training run as a folder: its settings, its checkpoints, and how it goes on."""
