"""The command `seqil`."""

from .options import main

__all__ = ["main"]
