"""The command `seqil`."""

from . import exporting
from .options import main

__all__ = ["exporting", "main"]
