"""Tasks whose law is a Markov chain, seen or hidden."""
