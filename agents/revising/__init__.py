"""Agents whose policies see a whole text."""
