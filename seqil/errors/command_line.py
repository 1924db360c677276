"""How a command ends: what was asked for wrongly is one line on stderr and exit status 2."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn, cast

import typer

from . import OWN_FILE, InvalidInputError, SeqilError, first_line, refuse_home, suggested, visible

TRACEBACK = "SEQIL_TRACEBACK"
UsageError: Any = typer.BadParameter.__base__  # click's, which newer versions of typer bring along themselves


if sys.flags.optimize > 1:  # before a command imports what cannot be imported then
    print(
        "seqil: Python was told to leave docstrings out (-OO, PYTHONOPTIMIZE=2), which are needed; use -O at most",
        file=sys.stderr,
    )
    sys.exit(2)


if os.environ.get("COLUMNS", "").strip("0") == "" and "COLUMNS" in os.environ:
    del os.environ["COLUMNS"]  # in a window of no width nothing would be printed


class UnprintedError(SeqilError):
    """What is printed could not be written: the disk is full, say."""


class Output:
    """A stream of output that says of an error that it was the output which could not be written.

    A reader that has gone away raises BrokenPipeError as ever.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write it, or say what failed."""
        return int(self._tried(self.stream.write, text))

    def flush(self) -> None:
        """Likewise."""
        self._tried(self.stream.flush)

    def _tried(self, act: Callable[..., Any], *args: Any) -> Any:
        try:
            return act(*args)
        except BrokenPipeError:
            raise
        except OSError as error:
            to_nowhere(self.stream)
            raise UnprintedError(
                f"standard output could not be written ({error.strerror}); free some space, or send it elsewhere"
            ) from None


_UNNAMED = (
    "a file that processes share memory by, below /dev/shm or the folder for temporary files, it seems; free some "
    "space there, or raise the limit (ulimit -f)"
)


def parse_path(text: str | Path) -> Path:
    """A path of the command line; what a shell or another program would read otherwise is refused.

    Raises:
        BadParameter: it is empty, which would be the working directory, `-`, or begins with `~`; or it is not UTF-8,
            so that neither records nor the library of tensors can hold it.
    """
    if not str(text):
        raise typer.BadParameter("it is empty; name a file or folder")
    if str(text) == "-":
        raise typer.BadParameter("- is no file here; name one, ./- if that is its name")
    if not str(text).isascii() and any("\udc80" <= letter <= "\udcff" for letter in str(text)):
        raise typer.BadParameter("its name is not UTF-8; choose, or rename it to, one that is")
    try:
        refuse_home(str(text))
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from None
    return Path(text)


def to_nowhere(stream: Any) -> None:
    """From now on nothing of it is written, nor tried again when Python ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


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
        SystemExit: always; the status is 0, or what the command returned, 2 for bad input and for errors in a file that
            the user named, 130 for an interruption.
    """

    def fail(reason: str) -> NoReturn:
        if speaks():
            with suppress(OSError):  # the same disk is full
                print(f"{program}:", visible(" ".join(reason.splitlines())), file=sys.stderr)
        sys.exit(2)

    try:
        before()
        with redirect_stdout(cast(Any, sys.stdout and Output(sys.stdout))):
            status = app(args=[*arguments], prog_name=name, standalone_mode=False)
            if sys.stdout is not None:  # it was closed
                sys.stdout.flush()
    except UsageError as error:
        fail(f"{_said(error)}; see {error.ctx.command_path if error.ctx else name or program} --help")
    except typer.Abort:
        sys.exit(130)
    except MemoryError:
        fail("the memory does not suffice; ask for less at a time, or a smaller model")
    except OSError as error:
        fail(str(error) if error.filename is not None else f"{error}: {_UNNAMED}")
    except SeqilError as error:
        fail(str(error))
    except Exception as error:
        if "allocate memory" in str(error) or "out of memory" in str(error):
            fail(f"the memory does not suffice ({first_line(error)}); ask for less at a time, or a smaller model")
        where = _in_own_file(error)
        if where is None or os.environ.get(TRACEBACK):
            raise
        fail(f"{where} failed: {type(error).__name__}: {first_line(error)}; {TRACEBACK}=1 shows the whole way there")
    sys.exit(status if isinstance(status, int) else 0)


def _in_own_file(error: BaseException) -> str | None:
    """Where in a file that the user named an error was last, if it came from there."""
    own = [at for at in traceback.walk_tb(error.__traceback__) if _module(at[0]).startswith(OWN_FILE)]
    if not own:
        return None
    frame, line = own[-1]
    code = frame.f_code
    return f"{Path(code.co_filename).name}, line {line}, in {code.co_qualname},"


def _module(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _said(error: Any) -> str:
    """What is wrong with the command line; where one of several was to be named, with the one that was meant."""
    message: str = error.format_message().rstrip(".").replace("Value error, ", "")
    if "unexpected extra argument" in message:
        return message + ": a text with blanks stands in quotes, and a value behind its option"
    named = re.search("'([^']*)' is not one of (.*)", message)
    return message + (suggested(named[1], re.findall("'([^']*)'", named[2])) if named else "")
