"""What is measured, one file a section."""
