"""`seqil train` in two processes."""

import contextlib
import io
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from command_line import ENVIRONMENT, SMALL, refused
from two_ranks import apart_in_two

import seqil.cli.commands  # noqa: F401  # before processes are forked
from seqil.cli.options import main

TINY = ["--layers", "1", "--width", "16", "--heads", "2", "--demonstrations", "40", "--task-option", "horizon=8"]
ASKED = [*SMALL, "--agent-option", "warm_up=0", "--save-every", "3", "--seed", "1"]


def torchrun(*arguments, cwd):
    """The line of the documentation."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "seqil", *map(str, arguments)],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def two(*arguments, cwd):
    """Both of them, running, as any launcher starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {**ENVIRONMENT, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "seqil", *map(str, arguments)],
            cwd=cwd, env={**meeting, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip


def logged(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def typed(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def told(*arguments):
    """Status and words of a command that is typed in this process."""
    sys.argv = ["seqil", *map(str, arguments)]
    with contextlib.redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, said.getvalue()


def test_two_ranks_train_as_one_and_one_goes_on_from_two(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert apart_in_two(partial(told, "train", *ASKED, "--microbatch", 1, "--out", "two")) == [(0, ""), (0, "")]
    typed(monkeypatch, "train", *ASKED, "--out", "one")
    expected, found = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert [line["step"] for line in found] == [6]
    assert found[-1] == pytest.approx(expected[-1], rel=1e-4)
    assert found[-1]["rollout_positions"] > 0
    assert [p.name for p in sorted((tmp_path / "two" / "checkpoints").iterdir())] == ["000000003", "000000006"]

    for run in ("one", "two"):
        typed(monkeypatch, "train", "--out", run, "--resume", "--steps", 8)
    assert "other versions, threads or ranks (ranks 2 -> 1)" in capsys.readouterr().err
    assert [line["step"] for line in logged(tmp_path / "two")] == [6, 8]
    assert logged(tmp_path / "two")[-1] == pytest.approx(logged(tmp_path / "one")[-1], rel=1e-3)


@pytest.mark.slow
def test_torchrun_starts_them(tmp_path):
    shared = torchrun("train", *ASKED, "--out", "two", cwd=tmp_path)
    assert shared.returncode == 0, shared.stderr
    assert shared.stdout.count("trained on") == 1  # the first rank alone speaks
    assert [line["step"] for line in logged(tmp_path / "two")] == [6]


def test_what_ranks_are_told_wrongly_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = apart_in_two(partial(told, "train", *ASKED, "--task", "nothing", "--out", "run"))
    assert [code for code, _ in found] == [2, 2]
    assert "".join(said for _, said in found).count("\n") == 1
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{}")
    found = apart_in_two(partial(told, "train", *ASKED, "--out", "run"))  # of which the first alone hears
    wanted = "seqil: run already holds a run; add --resume to go on, or choose another --out\n"
    assert found == [(2, wanted), (2, "")]


PAGE = (Path(__file__).parents[2] / "docs" / "tutorials" / "203_several_devices.md").read_text(encoding="utf-8")


def block(of, number):
    """The n-th piece of code on the page in one language."""
    return re.findall(rf"^```{of}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[number]


def test_the_page_on_devices_is_right(tmp_path, monkeypatch):
    """Its commands run, its script trains in two processes, and its batch script is one."""
    monkeypatch.chdir(tmp_path)
    small, together = (block("bash", number).split() for number in range(2))
    typed(monkeypatch, *small[1:], *TINY)
    assert together[:6] == ["torchrun", "--nproc-per-node", "2", "-m", "seqil", "train"]
    assert apart_in_two(partial(told, *together[5:], *TINY)) == [(0, ""), (0, "")]
    assert logged(tmp_path / "runs" / "small")[-1]["step"] == logged(tmp_path / "runs" / "together")[-1]["step"] == 20
    for microbatches, ranks in zip(*(logged(tmp_path / "runs" / run) for run in ("small", "together")), strict=True):
        assert ranks == pytest.approx(microbatches, rel=1e-3)
    (tmp_path / "script.py").write_text(block("python", 0))
    one, other = apart_in_two(partial(printed, tmp_path / "script.py"))
    assert one == other
    assert len(one.splitlines()) == 4
    subprocess.run(["bash", "-n", "-c", block("bash", 2)], check=True)
    assert "--engine slurm" in block("bash", 3)
    assert "--engine ray" in block("bash", 4)


def printed(script):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        runpy.run_path(str(script))
    return said.getvalue()


def ends(processes):
    found = [process.communicate(timeout=120) for process in processes]
    return [process.returncode for process in processes], [said for _, said in found], found[0][0]


def running(cwd):
    """Two of them that would go on for long, past their first steps."""
    processes = two("train", *ASKED, "--steps", "100000", "--out", "run", cwd=cwd)
    deadline = time.monotonic() + 300
    while not any(int(found.name) for found in (cwd / "run" / "checkpoints").glob("0*")):
        if time.monotonic() > deadline:
            for process in processes:
                process.kill()
            raise AssertionError("they have not come to their first checkpoint")
        time.sleep(0.1)
    return processes


@pytest.mark.slow
def test_the_death_of_a_rank_ends_the_other_with_one_line(tmp_path):
    processes = running(tmp_path)
    processes[1].send_signal(signal.SIGKILL)
    codes, said, _ = ends(processes)
    assert codes == [2, -signal.SIGKILL]
    assert said[0] == "seqil: another rank has ended; go on from the last checkpoint with --resume\n"


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_after_the_same_step(tmp_path):
    processes = running(tmp_path)
    processes[1].send_signal(signal.SIGTERM)
    codes, said, shown = ends(processes)
    assert codes == [128 + signal.SIGTERM] * 2
    assert said == ["", ""]
    assert "stopped at step" in shown
    steps = int(shown.rpartition("stopped at step ")[2].split()[0])
    assert (tmp_path / "run" / "checkpoints" / f"{steps:09d}").exists()


def test_other_commands_are_for_one_process(monkeypatch, capsys):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setitem(os.environ, name, value)
    refused(monkeypatch, capsys, ["sample", "run"], "several processes train together, none else; start seqil sample")
