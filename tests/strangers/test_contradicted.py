"""Options that contradict a task, a model or each other are refused or said, before anything is trained."""

import json

import pytest
from command_line import SMALL, command

AGENT = ["--agent", "bc"]
NEWEST = "checkpoints/000000006"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs with each memory, of texts of eight tokens."""
    folder = tmp_path_factory.mktemp("runs")
    for memory in ("prefix", "tried", "history"):
        done = command("train", *SMALL, *AGENT, "--memory", memory, "--out", memory, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "asked",
    [
        ["train", *SMALL, *AGENT, "--max-actions", "3", "--out", "new"],
        ["train", "--out", "prefix", "--resume", "--max-actions", "3"],
        ["sample", "prefix", "--max-actions", "3"],
        ["sample", "prefix", "--stream", "--max-actions", "3"],
        ["sample", "prefix", "--max-length", "20", "--min-length", "20", "--max-actions", "20"],
        ["evaluate", "prefix", "--max-actions", "8"],
        ["inspect", "prefix", "tried", "--max-actions", "5"],
    ],
)
def test_a_budget_that_ends_before_a_text_can_is_refused(folder, asked):
    done = command(*asked, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ends before any text can: min_length=" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "new").exists()


@pytest.mark.parametrize("asked", [["--max-actions", "9"], ["--min-length", "2", "--max-actions", "3"]])
def test_a_budget_of_the_shortest_text_is_enough(folder, asked):
    assert command("sample", "prefix", *asked, cwd=folder).returncode == 0


@pytest.mark.parametrize("memory", ["prefix", "tried", "history"])
@pytest.mark.parametrize("given", [None, "prefix", "tried"])
def test_a_checkpoint_goes_on_with_its_own_memory_unless_another_is_given(folder, tmp_path, memory, given):
    small = [option for option in SMALL if option not in ("--layers", "1", "--width", "16", "--heads", "2")]
    more = [] if given is None else ["--memory", given]
    model = folder / memory / NEWEST
    done = command("train", *small, *AGENT, "--model", model, *more, "--out", "next", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = given or memory
    assert json.loads((tmp_path / "next" / "settings.json").read_text())["settings"]["memory"] == wanted
    assert json.loads((tmp_path / "next" / NEWEST / "seqil.json").read_text())["memory"] == wanted


def test_positions_for_the_last_samples_are_looked_at_before_training(folder, tmp_path):
    """Under `history` a position is an action."""
    small = [option for option in SMALL if option not in ("--layers", "1", "--width", "16", "--heads", "2")]
    asked = ["train", *small, *AGENT, "--model", folder / "history" / NEWEST, "--memory", "history"]
    for more in ([], ["--evaluate-every", "3"]):
        done = command(*asked, "--max-actions", "100", *more, "--out", "next", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "prompt and actions take 101 positions" in done.stderr
        assert "shorten the prompt or max_actions" in done.stderr
        assert not (tmp_path / "next").exists()
    assert command(*asked, "--max-actions", "40", "--out", "next", cwd=tmp_path).returncode == 0
    resumed = command("train", "--out", "next", "--resume", "--steps", "9", "--max-actions", "100", cwd=tmp_path)
    assert (resumed.returncode, resumed.stdout) == (2, "")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--agent", "masked", "--no-backspace"], "--backspace would do nothing: masked writes whole texts"),
        (["--agent", "parallel_em", "--no-backspace"], "--backspace would do nothing: parallel_em writes whole texts"),
        (["--batch-size", "99999999999"], "a batch of 99,999,999,999 demonstrations would take"),
    ],
)
def test_what_would_do_nothing_or_fits_nowhere_is_refused(tmp_path, more, said):
    done = command("train", *SMALL, *AGENT, *more, "--out", "new", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_large_batch_in_a_file_is_said_too(tmp_path):
    (tmp_path / "own.toml").write_text("batch_size = 30\n")
    small = [option for option in SMALL if option not in ("--batch-size", "4")]
    done = command("train", *small, *AGENT, "--config", "own.toml", "--out", "new", cwd=tmp_path)
    assert "--batch-size 30 is more than the 20 demonstrations that there are" in done.stderr


@pytest.mark.parametrize(("prompt", "read"), [("13 99", "13 9 9"), ("1399", "13 9 9"), ("13 9", None), ("", None)])
def test_a_prompt_that_is_read_otherwise_is_said(folder, prompt, read):
    done = command("sample", "prefix", "-n", "1", "--prompt", prompt, cwd=folder)
    assert done.returncode == 0, done.stderr
    said = f"seqil: warning: --prompt {prompt!r} is read as {read!r}, the tokens that automaton has\n"
    assert done.stderr == (said if read else "")
