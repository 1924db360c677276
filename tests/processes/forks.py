"""Commands by the hundred: a process that has imported everything forks for each of them.

A fork takes the tenth part of a second where a new process takes five. The fork of a command is one of the shim's
processes, too: its n-th call below a folder may fail or be the last one (`Fault`). Cells of a study run in the fork
itself and not in processes of their own, and no figures are drawn of them.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
COUNT, FAIL, KILL, JOURNAL = 1, 2, 3, 4


@dataclass(frozen=True)
class Fault:
    """What happens at the `nth` call below `root`; `stays`: to all later ones that write, too."""

    root: str
    mode: int = COUNT
    nth: int = 0
    error: int = errno.ENOSPC
    stays: bool = False
    journal: str = ""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit status, or minus the signal; None: it was still there after its time and was killed.
        out, err: what it said.
        calls: of the shim, if it was armed and the command lived to say so.
        at: the call of the fault.
    """

    code: int | None
    out: str
    err: str
    seconds: float
    calls: int = 0
    at: str = ""

    @property
    def one_line(self):
        """Whether it was refused as everything is refused: one line, and status 2."""
        return self.code == 2 and len(self.err.strip().splitlines()) == 1 and "Traceback" not in self.err


def available():
    """Whether there is a compiler for the shim."""
    return shutil.which("cc") is not None and sys.platform == "linux"


class Forks:
    """The client: `with Forks() as forks: forks.seqil(["sample", "run"], cwd=folder)`."""

    def __init__(self, threads=1):
        self.folder = Path(tempfile.mkdtemp(prefix="forks"))
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": str(threads)}
        if available():
            shim = self.folder / "shim.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "shim.c", "-ldl"], check=True)
            environment["LD_PRELOAD"] = str(shim)
        self.server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End the process, and with it what it has written."""
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()
        shutil.rmtree(self.folder)

    def seqil(self, arguments, **options):
        return self.ask("seqil", list(map(str, arguments)), **options)

    def study(self, arguments, **options):
        return self.ask("study", list(map(str, arguments)), **options)

    def python(self, code, **options):
        return self.ask("python", code, **options)

    def ask(self, program, what, *, cwd, fault=None, limit=300.0, killed_after=None, number=signal.SIGKILL):
        """Run it.

        Args:
            program: seqil, study or python.
            what: arguments, or source.
            cwd: its working directory.
            fault: of the shim.
            limit: seconds after which it counts as hanging.
            killed_after: seconds after which it gets the signal `number`.
        """
        request = {
            **{"program": program, "what": what, "cwd": str(cwd), "limit": limit, "log": str(self.folder / "log")},
            **{"killed_after": killed_after, "number": int(number), "fault": asdict(fault) if fault else None},
        }
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return Ended(**json.loads(self.server.stdout.readline()))


def serve():
    """Answer requests until standard input ends."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    _warm_up()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")
        answers.flush()


def _warm_up():
    """Everything that is imported late is imported before the first fork."""
    import benchmarks.compounding_error.__main__  # noqa: F401
    from seqil.cli import commands, exports  # noqa: F401
    from seqil.runs import plugins

    for kind in ("agents", "tasks", "rules", "experts", "rewards", "noise"):
        for name in plugins.names(kind):
            plugins.load(kind, name)
    small = ["--steps", "1", "--layers", "1", "--width", "8", "--heads", "1", "--demonstrations", "4"]
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        for arguments in (["train", "--out", run, *small], ["sample", run], ["evaluate", run, "-n", "4"]):
            _in_fork_of_its_own(arguments)


def _in_fork_of_its_own(arguments):
    from seqil.cli.options import main

    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115
    sys.argv = ["seqil", *arguments]
    try:
        main()
    except SystemExit:
        pass
    finally:
        sys.stdout = out


def _answer(request):
    log = request["log"]
    began = time.monotonic()
    child = os.fork()
    if not child:
        _become(request)
    code, sent = None, False
    limit, kill = request["limit"], request["killed_after"]
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        passed = time.monotonic() - began
        if done:
            code = os.waitstatus_to_exitcode(status)
            break
        if kill is not None and passed > kill and not sent:
            sent = True
            os.kill(child, request["number"])
        if passed > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.001 if passed < 0.2 else 0.01)
    calls, at = 0, ""
    if Path(f"{log}.calls").exists():
        number, _, at = Path(f"{log}.calls").read_text(errors="replace").partition(" ")
        calls = int(number)
        os.unlink(f"{log}.calls")
    said = {name: Path(f"{log}.{name}").read_text(errors="replace") for name in ("out", "err")}
    return {"code": code, **said, "seconds": passed, "calls": calls, "at": at}


def _become(request):
    """Never returns."""
    log, fault, code = request["log"], request["fault"], 1
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(f"{log}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["cwd"])
    shim = _arm(fault) if fault else None
    try:
        code = _run(request["program"], request["what"])
    except BaseException:
        traceback.print_exc()
    if shim:
        shim.shim_last.restype = ctypes.c_char_p
        calls, last = shim.shim_calls(), shim.shim_last().decode(errors="replace")
        shim.shim_arm(fault["root"].encode() if Path(fault["root"]).exists() else b"/", 0, 0, 0, 0, b"")
        Path(f"{log}.calls").write_text(f"{calls} {last}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _arm(fault):
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.shim_arm(
        fault["root"].encode(), fault["mode"], fault["nth"], fault["error"], fault["stays"], fault["journal"].encode()
    )
    return shim


def _run(program, what):
    import multiprocessing.util

    try:
        if program == "seqil":
            from seqil.cli.options import main

            sys.argv = ["seqil", *what]
            main()
        elif program == "study":
            from benchmarks.compounding_error.__main__ import main
            from benchmarks.compounding_error.page import report
            from benchmarks.compounding_error.running import engines

            report.write = lambda *_: []
            engines.ENGINES["local"] = lambda cells, _: ((cell, engines.attempt(cell)) for cell in cells)
            main(what)
        else:
            exec(compile(what, "<given>", "exec"), {"__name__": "given"})
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    finally:
        multiprocessing.util._exit_function()
    return 0


def tally(findings):
    """How often each kind of outcome was met."""
    return dict(Counter(kind for kind, _ in findings))


if __name__ == "__main__":
    serve()
