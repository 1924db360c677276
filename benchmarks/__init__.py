"""Studies and throughput."""
