"""Models and runs of seqil in the programs of others."""
