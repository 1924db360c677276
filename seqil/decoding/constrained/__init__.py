"""Rules that keep the text that stands within a language."""
