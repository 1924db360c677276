"""The command line, as a user types it."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from command_line import SMALL, command, refused, started
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from seqil import TokenPolicy, Vocabulary
from seqil.cli.options import main
from seqil.randomness import seeded
from seqil.runs.checkpoint import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    done = command("train", "--out", "run", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "forward positions per net token" in done.stdout
    return folder


def test_sample_and_evaluate(folder):
    shown = command("sample", "run", "-n", "2", cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.splitlines()) == 3
    measured = command("evaluate", "run", "-n", "20", "--json", "out.json", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    found = json.loads((folder / "out.json").read_text())
    assert {k: found[k] for k in ("task", "split", "samples", "max_actions")} == {
        **{"task": "automaton", "split": "test", "samples": 20, "max_actions": 32}  # four per token
    }
    rows = found["estimates"]
    assert {"hazard", "success", "nll_per_token", "actions_per_net_token", "on_policy_step_error"} <= set(rows)
    assert rows["hazard"]["low"] <= rows["hazard"]["value"] <= rows["hazard"]["high"]


def test_numbers_replace_numbers_alone(folder):
    """`--json` of an evaluation may be written again, and nothing else that is there."""
    for name, content in {"novel.txt": "words", "other.json": '{"a": 1}', "list.json": "[]"}.items():
        (folder / name).write_text(content)
        done = command("evaluate", "run", "-n", "20", "--json", name, cwd=folder)
        assert done.returncode == 2
        assert f"--json {name}: it is there and holds no evaluation; choose another file" in done.stderr
        assert (folder / name).read_text() == content
    (folder / "empty.json").touch()
    for _ in range(2):
        assert not command("evaluate", "run", "-n", "20", "--json", "empty.json", cwd=folder).returncode


def test_rules_of_sample_and_evaluate(folder):
    rules = ["--rule", "loop_guard=1", "--rule", "min_p=0.2"]
    plain, ruled = (command("sample", "run", "-n", "3", *more, cwd=folder) for more in ([], rules))
    assert ruled.returncode == 0, ruled.stderr
    assert plain.stdout != ruled.stdout
    assert "0.0% unfinished" in ruled.stdout
    rows = []
    for more in (["--rule", "loop_guard=0"], ["--rule", "loop_guard=0", "--rule", "contrastive_search=3,0.5"]):
        measured = command("evaluate", "run", "-n", "20", "--json", "ruled.json", *more, cwd=folder)
        assert measured.returncode == 0, measured.stderr
        assert "temperature 1, loop_guard(0)" in " ".join(measured.stdout.split())
        rows.append(json.loads((folder / "ruled.json").read_text())["estimates"])
    one, searched = (row["forwards_per_net_token"]["value"] for row in rows)
    assert rows[0]["actions_per_net_token"]["value"] == rows[1]["actions_per_net_token"]["value"] == 1
    assert searched > one + 3  # three candidates and the prefix, once more at every action


def test_the_run_folder_tells_what_it_is(folder):
    run = RunFolder(folder / "run")
    assert run.settings["settings"]["task_options"] == {"horizon": 8}
    assert "torch" in run.settings["versions"]
    assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [6]


def newest(run):
    return max((p.parent.name for p in (run / "checkpoints").glob("0*/manifest.json")), default="")


def test_a_stopped_run_resumes_to_the_same_bytes(folder):
    steps = ["--steps", "40", "--save-every", "3", *SMALL[2:], "--average", "0.9"]
    undisturbed = command("train", "--out", "whole", *steps, cwd=folder)
    assert undisturbed.returncode == 0, undisturbed.stderr
    process = started("train", "--out", "stopped", *steps, cwd=folder)
    while process.poll() is None and not newest(folder / "stopped"):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    resumed = command("train", "--out", "stopped", "--resume", "--save-every", "3", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    names = ("model.safetensors", "state.safetensors", "state.json")
    one, other = (RunFolder(folder / name).latest() for name in ("whole", "stopped"))
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def small_model(folder, cells=48, size=257, broken=False):
    with seeded(0):
        model = GPT2LMHeadModel(GPT2Config(vocab_size=size, n_positions=cells, n_embd=8, n_layer=1, n_head=2,
                                           bos_token_id=size - 1, eos_token_id=size - 1))  # fmt: skip
    if broken:
        model.transformer.ln_f.weight.data[3] = float("nan")
    model.save_pretrained(folder)


def small_tokenizer(folder, eos="<e>"):
    words = {word: i for i, word in enumerate(["<u>", "one", "two", "three", "<e>"])}
    inner = Tokenizer(WordLevel(words, unk_token="<u>"))
    inner.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos).save_pretrained(folder)


def material(folder):
    """Files that are wrong in one way each, and some that are right."""
    words = random.Random(0).choices(["one", "two", "three"], k=2000)
    (folder / "text.txt").write_text(" ".join(words))
    (folder / "empty.txt").write_text(" \n")
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00" * 100)
    (folder / "short.txt").write_text("one two")
    os.mkfifo(folder / "pipe")
    (folder / "hidden" / ".git").mkdir(parents=True)
    (folder / "hidden" / ".git" / "config").write_text("not the user's text " * 100)
    for name in ("nothing", "half"):
        (folder / name).mkdir()
    (folder / "half" / "config.json").write_text('{"model_type": "gpt2"}')
    small_model(folder / "model")
    small_model(folder / "positions", cells=8)
    small_model(folder / "nan", broken=True)
    small_model(folder / "words", size=5)
    small_tokenizer(folder / "tokenizer")
    small_tokenizer(folder / "endless", eos=None)
    policy = TokenPolicy(GPT2LMHeadModel.from_pretrained(folder / "words"), Vocabulary(5, 4))
    policy.save_pretrained(folder / "other")


def text_task(path, *more):
    options = [f"path={path}", "prompt_length=4", "max_length=12", *more]
    return ["train", "--task", "text", "--demonstrations", "6", *(x for o in options for x in ("--task-option", o))]


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    folder = tmp_path_factory.mktemp("materials")
    material(folder)
    return folder


def test_a_model_and_a_tokenizer_of_ones_own(materials, tmp_path):
    small = ["--steps", "3", "--batch-size", "2"]
    byte_wise = [*text_task(materials / "text.txt"), "--model", materials / "model", *small]
    done = command(*byte_wise, "--out", "bytes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    word_wise = text_task(materials / "text.txt", f"tokenizer={materials / 'tokenizer'}")
    done = command(*word_wise, "--model", materials / "words", *small, "--out", "words", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = command("sample", "words", "-n", "1", cwd=tmp_path)
    assert {"one", "two", "three"} & set(shown.stdout.split()), shown.stderr
    checkpoint = RunFolder(tmp_path / "words").latest()
    for more in ([], ["--no-backspace"]):
        out = f"again{len(more)}"
        done = command(*word_wise, "--model", checkpoint, *small, *more, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (text_task("empty.txt"), "empty.txt is empty"),
        (text_task("binary.txt"), "binary.txt cannot be read as UTF-8 text"),
        (text_task("short.txt"), "short.txt holds no window of 4 + 12 tokens"),
        (text_task("nothing"), "folder nothing holds no files"),
        (text_task("text.txt", "tokenizer=nothing"), "there is no tokenizer in nothing"),
        (text_task("text.txt", "tokenizer=endless"), "has no eos token; set tokenizer.eos_token"),
        (text_task("text.txt", "field=a"), "field"),
        ([*text_task("text.txt"), "--model", "half"], "half/model.safetensors is "),
        ([*text_task("text.txt"), "--model", "positions"], "take 17 positions, GPT2LMHeadModel (gpt2) has 8"),
        ([*text_task("text.txt"), "--model", "nan"], "1 of 8 numbers of transformer.ln_f.weight are not finite"),
        ([*text_task("text.txt"), "--model", "words"], "has 5 rows, the vocabulary 257 tokens"),
        ([*text_task("text.txt"), "--model", "other"], "was saved with Vocabulary(size=5, eos=4), not with"),
        (text_task("pipe"), "pipe is a pipe or a device"),
        (text_task("hidden"), "folder hidden holds no files"),
        ([*text_task("text.txt"), "--device", "abacus"], "device 'abacus' is not to be had; use cpu or cuda"),
        ([*text_task("text.txt"), "--out", "text.txt/run"], "text.txt"),
    ],
)
def test_bad_files_are_one_line_and_status_2(materials, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(materials)
    before = sorted(materials.rglob("*"))
    refused(monkeypatch, capsys, arguments, culprit)
    assert sorted(materials.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["sample", "run", "--max-length", "5000"], "positions"),
        (["evaluate", "run", "--json", "nowhere/out.json"], "there is no folder nowhere"),
        (["train", "--out", "run"], "run already holds a run; add --resume"),
        (
            ["sample", "run", "--rule", "beam"],
            "unknown rule 'beam'; known: backspace_bias, ban, contrastive_search",
        ),
        (["evaluate", "run", "--rule", "min_p"], "rule 'min_p' is not of the form min_p=P"),
        (["evaluate", "run", "--rule", "min_p=a"], "is not of the form min_p=P, with numbers for what is in capitals"),
        (["sample", "run", "--rule", "tabu", "--rule", "tabu"], "rule 'tabu' is given twice; once does it"),
        (["evaluate", "run", "--rule", "top_k=0"], "top_k: k=0 must be at least 1"),
        (["sample", "run", "--rule", "contrastive_search=999,0.5"], "contrastive_search: k=999, but there are 17"),
    ],
)
def test_bad_requests_of_a_sound_run(folder, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(folder)
    refused(monkeypatch, capsys, arguments, culprit)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["train", "--task", "nope"], "unknown task 'nope'; known:"),
        (["train", "--agent", "nope"], "unknown agent 'nope'; known:"),
        (["train", "--task-option", "horizon"], "--task-option 'horizon' is not of the form KEY=VALUE"),
        (
            ["train", "--task-option", "horizon=3", "--task-option", "horizon=4"],
            "--task-option: horizon=3 and horizon=4; give one of them",
        ),
        (["train", "--task-option", "size=3"], "no option 'size'"),
        (["train", "--agent-option", "divergence=chi3"], "unknown divergence 'chi3'"),
        (["train", "--agent", "bc", "--agent-option", "expert=teacher"], "agent 'bc' has no option 'expert'"),
        (["train", "--agent-option", "divergence=chi2", "--agent-option", "alpha=-1"], "alpha=-1.0 must lie in"),
        (["train", "--noise", "white"], "unknown noise 'white'"),
        (["train", "--model", "nowhere"], "'nowhere' is not a folder with a Hugging Face model"),
        (["train", "--task", "text", "--task-option", "path=nowhere.txt"], "nowhere.txt does not exist"),
        (["train", "--width", "10"], "width=10 is not a multiple of heads=4"),
        (["sample", "nowhere"], "nowhere is not the folder of a run"),
        (["train", "--resume", "--out", "nowhere"], "nowhere is not the folder of a run"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, culprit):
    monkeypatch.chdir(tmp_path)
    refused(monkeypatch, capsys, arguments, culprit)
    assert not list(tmp_path.iterdir())


def test_an_unknown_split_is_refused(folder):
    done = command("sample", "run", "--split", "all", cwd=folder)
    assert done.returncode == 2
    assert "unknown split 'all'" in done.stderr


def test_help_loads_nothing_heavy():
    code = "import sys, seqil, seqil.cli; assert not {'torch', 'transformers', 'gymnasium', 'numpy'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("said", "held"), [(None, "100000"), ("7", "7")])
def test_threads_that_wait_do_not_spin_for_long_unless_one_says_so(said, held, monkeypatch, capsys):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if said is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", said)
    monkeypatch.setattr(sys, "argv", ["seqil", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["GOMP_SPINCOUNT"] == held
    if said is None:
        monkeypatch.delenv("GOMP_SPINCOUNT")
