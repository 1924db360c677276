"""Edits beyond the data: an editor that learned inside a range of an attribute, and what rivals it at equal cost."""
