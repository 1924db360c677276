"""Speed, as ratios against what a user would use instead: `python -m benchmarks.throughput`."""
