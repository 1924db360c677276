"""Tasks whose law counts the texts of a language."""
