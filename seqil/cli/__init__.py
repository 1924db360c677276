"""The command `seqil`."""

from . import exporting, listing
from .options import app, main
from .reporting import inspecting

__all__ = ["app", "exporting", "inspecting", "listing", "main"]
