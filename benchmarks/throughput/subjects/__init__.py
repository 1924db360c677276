"""What is measured, and how: models, a loop written by hand, interleaved timings."""
