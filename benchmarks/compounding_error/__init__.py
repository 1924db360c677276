"""How the error of an agent grows with the horizon: `python -m benchmarks.compounding_error`."""
