"""What is installed, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..runs import known_metrics, plugins


def show_plugins(console: Console, kind: str) -> None:
    """Print what is registered, by whom; what cannot be used stands there with the reason."""
    found = known_metrics.listed() if kind == "metrics" else plugins.registered(kind)
    if not found:
        console.print(f"none is installed: no distribution has the entry point group seqil.{kind}", soft_wrap=True)
        return
    table = Table(box=None)
    for column in ("name", "package", "version"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it is")
    for plugin in found:
        about = Text(plugin.about, style="" if plugin.usable else "red")
        table.add_row(Text(plugin.name), Text(plugin.package), Text(plugin.version), about)
    console.print(table)
