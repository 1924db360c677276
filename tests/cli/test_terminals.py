"""What reaches a terminal, a narrow one and a full disk: no control characters, no cut lines, one line of complaint."""

import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from command_line import SMALL, command, forks, refused
from rich.console import Console

from envs.tasks import Text
from seqil import metrics
from seqil.cli import inspecting, showing, training_loop
from seqil.drawing import Drawn
from seqil.errors import counted, quoted, visible
from seqil.errors.command_line import Output, UnprintedError
from seqil.mdp.rendering import struck
from seqil.mdp.trajectory import Trajectories
from seqil.rollouts import recording
from seqil.rollouts.streaming import DeletionStreamer

FULL = Path("/dev/full")
NASTY = "a\x1b[2Jb\x07c\rd\x7fe\x9bf\tg\nh"
SHOWN = "a␛[2Jb␇c␍d␡e�f\tg\nh"


def controls(text):
    return {c for c in text if c not in "\n\t" and (ord(c) < 32 or 127 <= ord(c) < 160)}


@pytest.fixture
def written(tmp_path):
    """A task of bytes, and a text whose first half is deleted again."""
    (tmp_path / "t.txt").write_text("some words " * 20)
    task = Text(tmp_path / "t.txt", prompt_length=4, max_length=64)
    v, ids = task.vocabulary, list(NASTY.encode())
    actions = [*ids, *[v.backspace] * len(ids), *ids]
    prompts = [ids]
    return task, prompts, Trajectories.from_actions(v, prompts, [actions], max_length=64, min_length=0)


def test_pictures_stand_for_what_a_terminal_would_obey():
    assert visible(NASTY) == SHOWN
    assert not controls(visible("".join(map(chr, range(300)))))


@pytest.mark.parametrize("form", ["ansi", "marks"])
def test_no_form_for_readers_holds_control_characters(written, form):
    task, prompts, t = written
    out = io.StringIO()
    showing.show(Console(file=out, width=200), task, prompts, Drawn(t, metrics.cost(t)), form)
    text = out.getvalue()
    text = re.sub("\x1b\\[[0-9;]*m", "", text)  # the styles that are meant
    assert not controls(text)
    assert text.count("␛[2Jb␇c␍d␡e") == 3


def test_json_holds_what_was_written(written):
    task, prompts, t = written
    out = io.StringIO()
    showing.show(Console(file=out), task, prompts, Drawn(t, metrics.cost(t)), "json")
    assert "\\u001b[2Jb\\u0007c\\rd" in out.getvalue()


def test_a_stream_into_a_file_holds_no_control_characters(written, monkeypatch):
    task, prompts, t = written
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    streamer = DeletionStreamer(task, task.vocabulary.backspace, task.vocabulary.eos)
    streamer.put(prompts[0])
    for action in t.actions[0, : int(t.lengths[0])].tolist():
        streamer.put([action])
    streamer.end()
    assert not controls(out.getvalue())
    assert out.getvalue().endswith("�f\tg\nh\n")


def test_a_recording_is_xml_whatever_was_written(written):
    from xml.etree import ElementTree

    task, prompts, t = written
    acts = t.actions[0, : int(t.lengths[0])].tolist()
    picture = recording.svg("x", [recording.characters(task.vocabulary, prompts[0], acts, task.decode)])
    assert "␛" in "".join(ElementTree.fromstring(picture).itertext())


def test_texts_beside_each_other_hold_no_control_characters():
    class Run:
        name = "run"

        def text(self, row):
            return NASTY, [(NASTY, True), (NASTY, False)]

    out = io.StringIO()
    inspecting._texts(Console(file=out, width=200), [Run()], 1)
    assert not controls(out.getvalue())
    assert struck([]) == ""


def test_a_refusal_holds_no_control_characters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, ["sample", "a\x1b[31mb"], "a␛[31mb is not the folder of a run")


@pytest.mark.parametrize("width", [40, 60, 79, 80, 120])
def test_a_bar_fits_and_says_where_it_is(width):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    with training_loop.progress(console, 0, 600) as told:
        told(300, 2.3456)
    last = [line for line in out.getvalue().replace("\r", "\n").splitlines() if "300" in line][-1]
    shown = last.replace("\x1b[2K", "")
    assert len(shown.rstrip()) <= width
    assert "300/600" in shown
    assert "loss 2.346" in shown
    assert "left" in shown


@pytest.mark.parametrize(
    ("threads", "device", "spent", "told"),
    [(2, "cpu", 3.0, True), (2, "cpu", 5.5, False), (1, "cpu", 3.0, False), (2, "cuda", 3.0, False)],
)
def test_threads_that_wait_for_others_are_told_once(monkeypatch, threads, device, spent, told):
    """Six seconds in which the process had this much of a processor, and again."""
    clock = {"now": 0.0, "spent": 0.0}
    monkeypatch.setattr(training_loop.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(training_loop.time, "perf_counter", lambda: clock["now"])
    monkeypatch.setattr(training_loop.time, "process_time", lambda: clock["spent"])
    out = io.StringIO()
    crowd = training_loop.Crowd(Console(file=out, width=80), torch.device(device))
    crowd.look()
    for _ in range(2):
        clock["now"] += 6.0
        clock["spent"] += spent
        crowd.look()
    said = ["2 threads get 0.5 of a core: other programs compute here", "OMP_NUM_THREADS=1"] if told else []
    assert [line in out.getvalue() for line in said] == [True] * len(said)
    assert len(out.getvalue().splitlines()) == told


@pytest.mark.parametrize(
    ("option", "command_", "culprit"),
    [
        ("--record", "sample", "--record x.png: it holds SVG; name a file x.svg"),
        ("--record", "sample", "--record x: it holds SVG; name a file x.svg"),
        ("--page", "inspect", "--page x.pdf: it holds HTML; name a file x.html"),
        ("--json", "evaluate", "--json nowhere/x.json: there is no folder nowhere; make it first"),
    ],
)
def test_a_file_of_another_form_than_its_name_says(tmp_path, monkeypatch, capsys, option, command_, culprit):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    refused(monkeypatch, capsys, [command_, "run", option, culprit.split()[1].rstrip(":")], culprit)


@pytest.mark.parametrize("path", ["a.svg", "a.SVG", "/dev/null"])
def test_a_file_of_its_form_and_a_device_are_taken(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    showing.check_target("--record", Path(path), ".svg")
    showing.check_target("--record", None, ".svg")


def test_numbers_and_their_nouns():
    found = [counted(1, "item"), counted(0, "item"), counted(1234, "item"), counted(2, "study", "studies")]
    assert found == ["1 item", "0 items", "1,234 items", "2 studies"]


def test_commands_that_are_proposed_can_be_copied(tmp_path):
    assert shlex.split(f"seqil sample {quoted(Path('my run (2)'))}") == ["seqil", "sample", "my run (2)"]
    done = command("train", "--out", "my run", "--agent", "bc", *SMALL, cwd=tmp_path)
    proposed = done.stdout.splitlines()[-1].split("     ")[0]
    assert command(*shlex.split(proposed)[1:], "-n", "1", cwd=tmp_path).returncode == 0
    (tmp_path / "my run" / "checkpoints" / "000000006" / "generation_config.json").write_text("{}")
    broken = command("sample", "my run", cwd=tmp_path)
    assert broken.returncode == 2


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
class TestAFullDisk:
    WORDS = "standard output could not be written (No space left on device)"

    def typed(self, *arguments, cwd):
        to_full = "import os, sys\nos.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n"
        call = f"sys.argv = {['seqil', *arguments]!r}\nfrom seqil.cli.options import main\nmain()"
        return forks().python(to_full + call, cwd=cwd)

    @pytest.mark.parametrize("arguments", [["list", "agents"], ["--help"], ["--version"]])
    def test_is_named(self, tmp_path, arguments):
        ended = self.typed(*arguments, cwd=tmp_path)
        assert ended.code == 2
        assert ended.err == f"seqil: {self.WORDS}; free some space, or send it elsewhere\n"

    def test_ends_no_training(self, tmp_path):
        ended = self.typed("train", *SMALL, cwd=tmp_path)
        assert (ended.code, ended.err.count(self.WORDS)) == (0, 1), ended.err
        assert "the run goes on" in ended.err
        assert (tmp_path / "runs/run/checkpoints/000000006").is_dir()

    def test_is_told_from_a_reader_that_has_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        with io.FileIO(writing, "w") as stream, pytest.raises(BrokenPipeError):
            Output(stream).write(b"x")
        with FULL.open("wb", buffering=0) as stream, pytest.raises(UnprintedError, match="No space left"):
            Output(stream).write(b"x")


def test_a_window_of_no_width_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "0")
    assert "sequence_match" in command("list", "agents", cwd=tmp_path).stdout


@pytest.mark.parametrize("option", ["--out", "--config"])
def test_a_name_that_is_not_utf_8_is_refused(monkeypatch, capsys, tmp_path, option):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, ["train", option, "run\udcff", *SMALL], "its name is not UTF-8; choose, or rename it")
    assert not [*tmp_path.iterdir()]


def test_a_path_to_be_copied_is_no_option():
    assert quoted("-run") == "./-run"
    assert quoted(Path("a run")) == "'a run'"
