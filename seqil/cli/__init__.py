"""The command `seqil`."""

from . import exporting, inspecting
from .options import app, main

__all__ = ["app", "exporting", "inspecting", "main"]
