"""What is made of records alone: contrasts, fits, tables."""
