"""The command `seqil`."""

from . import exporting, inspecting, listing
from .options import app, main

__all__ = ["app", "exporting", "inspecting", "listing", "main"]
