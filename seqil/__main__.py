"""`python -m seqil`, which is the command `seqil`; `torchrun -m seqil` starts it on several devices."""

from .cli import main

if __name__ == "__main__":
    main()
