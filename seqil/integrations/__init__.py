"""Models of seqil in the programs of others."""
