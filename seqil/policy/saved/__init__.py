"""A policy as a folder: its files, their seals, and the tokenizer that comes with them."""
