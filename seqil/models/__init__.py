"""What a Hugging Face model brings with it: precision, rows of its head, windows, adapters."""
