"""The benchmarks run and say what they measured."""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest
import torch
import typer
from tiny_models import tiny_policy
from typer.testing import CliRunner

from agents.behavior_cloning import BehaviorCloningLoss
from benchmarks.compounding_error.running.runner import cores
from benchmarks.throughput import __main__ as command
from benchmarks.throughput.sections import environments, generation, sampling
from benchmarks.throughput.sections.refilling import EndAt
from benchmarks.throughput.sections.training import memories, side_by_side, trainer, updates
from benchmarks.throughput.sections.training.loss_memory import PEERS, ours
from benchmarks.throughput.subjects.lean import LeanGPT2
from benchmarks.throughput.subjects.measure import compare, ratio
from benchmarks.throughput.subjects.models import Subject
from seqil import Trajectories, rollout
from seqil.learning.accumulation import batch


def test_environments():
    rows = list(environments.measure(1, sizes=(1, 2)))
    assert len(rows) == 8
    assert all(row.low <= row.ratio <= row.high for row in rows)


def test_what_was_measured_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "measure", partial(sampling.measure, sizes=((17, 3),)))
    app = typer.Typer()
    app.command()(command.measured)
    done = CliRunner().invoke(app, ["sampling", "--repetitions", "1", "--json", str(tmp_path / "r")])
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "r").read_text())["rows"]
    assert row["low"] <= row["ratio"] <= row["high"]
    assert row["name"] in " ".join(done.output.split())


def test_a_ratio_above_one_is_in_our_favour():
    found = compare("more units", "units/s", lambda: 1e9, lambda: 1.0, 3)
    assert found.low > 1
    assert ratio("fewer seconds", "s", [1.0], [2.0], more_is_better=False).ratio == 2


def test_the_hand_written_loop_is_gpt2():
    model = tiny_policy("gpt2").model
    loop, ids = LeanGPT2(model), torch.tensor([[1, 2, 3, 0, 5], [4, 4, 1, 0, 2]])
    kv = loop.room(2, 5)
    for at, tokens in ((0, ids[:, :3]), (3, ids[:, 3:4]), (4, ids[:, 4:])):
        with torch.no_grad():
            expected = model(ids[:, : at + tokens.shape[1]]).logits[:, -1]
            found = loop.logits(tokens, at, kv)
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    text, _ = loop.generate(ids, 4)
    assert text.shape == (2, 9)
    assert torch.equal(text[:, :5], ids)


def test_rows_end_at_their_own_lengths():
    lengths = torch.tensor([1, 5, 3, 8])
    t = rollout(tiny_policy("gpt2"), [[0]] * 4, max_length=8, max_actions=200, rules=[EndAt(lengths)], batch_size=2)
    assert t.ended.all()
    assert (t.replay().generated - 1).tolist() == lengths.tolist()


def test_training():
    size = updates.Size(1, 16, 2, rows=2, tokens=4)
    rows = list(updates.measure(1, sizes=(size,), group=size, prompt=3, steps=2))
    assert [row.unit for row in rows] == ["nodes/s", "samples/s", "updates/s", "positions/s"]
    assert all(row.ours > 0 and row.peer > 0 for row in rows)


def test_the_trainer_of_transformers_comes_to_our_loss():
    shape = {"vocab_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2}
    rows = list(trainer.measure(1, sizes=(trainer.Size("tiny", shape, rows=2, tokens=8, steps=2),)))
    assert [row.unit for row in rows] == ["updates/s", "MiB"]
    assert all(row.ours > 0 and row.peer > 0 for row in rows)


def test_memories():
    rows = list(memories.measure(1, sizes=(16,), length=4))
    assert [row.unit for row in rows] == ["actions/s", "actions/s", "nodes/s", "nodes/s"]
    assert all(row.ours > 0 and row.peer > 0 for row in rows)


def test_runs_side_by_side_are_those_of_one_after_the_other():
    train = partial(side_by_side.train, steps=2)
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        assert list(pool.map(train, range(2))) == list(map(train, range(2)))


def test_side_by_side():
    rows = list(side_by_side.measure(1, runs=2, steps=1, start="fork"))
    assert [row.name[-1] for row in rows] == sorted({"1", str(cores())})
    assert all(row.ours > 0 and row.peer > 0 for row in rows)
    assert torch.get_num_threads() == 1  # as before


def test_rows_apart_have_the_loss_of_rows_that_share_their_prompt():
    policy, texts = tiny_policy("gpt2"), [[3, 0, 5], [3, 3, 1], [0, 4, 4]]
    t = Trajectories.from_actions(policy.vocabulary, [[1, 2] * 20] * 9, texts * 3)
    assert policy.positions(t) == 40 + 9 * 3
    found, expected = (made(policy)(batch(t)) for made in (updates.RowsApart, BehaviorCloningLoss))
    torch.testing.assert_close(found["loss_behavior_cloning"], expected["loss_behavior_cloning"])


@pytest.mark.parametrize("name", PEERS)
def test_the_ways_to_the_loss_agree(name):
    g = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 4, generator=g).requires_grad_() for n in (11, 8))
    action = torch.randint(0, 7, (11,), generator=g)
    found, expected = (way(hidden, weight, action) for way in (ours, PEERS[name]))
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, (hidden, weight)) for loss in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_generation():
    shape = {"vocab_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2}
    setting = generation.Setting(rows=3, context=12, actions=8, deletions=0.3)
    rows = list(generation.lines("tiny", Subject.of(shape, 64), setting, 1))
    assert [row.name.split(",")[0].split(" / ")[-1] for row in rows] == [
        *("generate", "generate", "hand-written loop", "roofline", "trunk rows per action")
    ]
    assert all(row.ours > 0 and row.peer > 0 for row in rows)
    assert rows[-1].ours < 1  # a deletion is no forward


def test_sampling():
    (row,) = sampling.measure(1, sizes=((17, 3),))
    assert row.ours > 0
    assert row.peer > 0


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        (["--device", "nowhere"], "device 'nowhere' is not to be had"),
        (["--device", "meta"], "device 'meta' is not measured"),
        (["nothing"], "unknown section on cpu 'nothing'"),
        (["--json", "nowhere/r.json"], "there is no folder nowhere; make it first"),
        (["--json", "."], "is a directory"),
    ],
)
def test_what_cannot_be_measured_is_named_in_one_line(capsys, options, culprit):
    with pytest.raises(SystemExit) as stopped:
        command.main(options)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert culprit in line
