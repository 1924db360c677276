"""How a command ends: what was asked for wrongly is one line on stderr and exit status 2."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import typer

from . import SeqilError, first_line, suggested

UsageError: Any = typer.BadParameter.__base__  # click's, which newer versions of typer bring along themselves


def run_command(
    app: typer.Typer,
    arguments: Sequence[str],
    program: str,
    name: str | None = None,
    before: Callable[[], None] = lambda: None,
    speaks: Callable[[], bool] = lambda: True,
) -> NoReturn:
    """Run a command.

    Args:
        app: the commands.
        arguments: what was typed.
        program: what lines of errors begin with.
        name: as what help shows it, where it was not started by its name.
        before: is called first, and may refuse too.
        speaks: whether this process says why it ends.

    Raises:
        SystemExit: always; the status is 0, or what the command returned, 2 for bad input, 130 for an interruption.
    """

    def fail(reason: str) -> NoReturn:
        if speaks():
            print(f"{program}:", " ".join(reason.splitlines()), file=sys.stderr)
        sys.exit(2)

    try:
        before()
        status = app(args=[*arguments], prog_name=name, standalone_mode=False)
    except UsageError as error:
        fail(f"{_said(error)}; see {error.ctx.command_path if error.ctx else name or program} --help")
    except typer.Abort:
        sys.exit(130)
    except MemoryError:
        fail("the memory does not suffice; ask for less at a time, or a smaller model")
    except (SeqilError, OSError) as error:
        fail(str(error))
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        fail(f"the memory does not suffice ({first_line(error)}); ask for less at a time, or a smaller model")
    sys.exit(status if isinstance(status, int) else 0)


def _said(error: Any) -> str:
    """What is wrong with the command line; where one of several was to be named, with the one that was meant."""
    message: str = error.format_message().rstrip(".").replace("Value error, ", "")
    named = re.search("'([^']*)' is not one of (.*)", message)
    return message + (suggested(named[1], re.findall("'([^']*)'", named[2])) if named else "")
