"""What is measured of training, one file a section."""
