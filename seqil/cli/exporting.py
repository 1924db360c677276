"""Commands about folders of models, for others to load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import counted
from ..errors.command_line import parse_path
from .options import Best, Run, app

Folder = Annotated[Path, typer.Argument(help="Folder of the model.", parser=parse_path, show_default=False)]


@app.command(epilog="Example:\n\n  seqil seal ./my-model")
def seal(folder: Folder) -> None:
    """Accept the files of a model's folder as they are now, after you edited one on purpose."""
    from ..policy.saved import seals

    print(f"sealed {counted(seals.seal(folder), 'file')} of {folder}")


@app.command(
    epilog="Examples:\n\n"
    "  seqil export runs/first ./my-model\n\n"
    "  seqil evaluate runs/first --json numbers.json\n\n"
    "  seqil export runs/first ./my-model --evaluation numbers.json"
)
def export(
    run: Run,
    folder: Folder,
    without_backspace: Annotated[
        bool, typer.Option("--without-backspace", help="An ordinary model: the row of the backspace is taken off.")
    ] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Make adapters part of the weights.")] = False,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            help="A file of `seqil evaluate --json`, whose numbers go into the model card.",
            metavar="PATH",
            parser=parse_path,
            show_default=False,
        ),
    ] = None,
    best: Best = False,
) -> None:
    """Write a run as a Hugging Face model: weights, tokenizer, code that deletes, and a model card."""
    from . import commands, exports

    commands.quiet()
    exported = exports.opened(run, best)
    exports.export(*exported, folder, backspace=not without_backspace, merge=merge, evaluation=evaluation)
    print(f"{folder} holds the model; {folder / 'README.md'} says what it is")
