"""Gymnasium and TorchRL faces of the prefix MDP, and the tasks."""
