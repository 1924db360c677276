"""Metrics that a place asks for by name, and the study of a pretrained model, whose files have to be made first."""

import json
import math
from dataclasses import replace

import pytest
from small_llama import llama

from benchmarks.compounding_error.__main__ import main as command
from benchmarks.compounding_error.running import asked_metrics
from benchmarks.compounding_error.running.cells import Cell, cells_of
from benchmarks.compounding_error.running.measurement import measured
from benchmarks.compounding_error.studies import real
from benchmarks.compounding_error.study import Decoding, Place
from envs.tasks import Automaton, Potentials, Text
from seqil import TokenPolicy, Trajectories, Vocabulary
from seqil.errors import InvalidInputError
from seqil.metrics.samples import Sample
from seqil.runs import known_metrics

ASKED = ("bits_per_byte", "mauve_hidden")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that reads bytes, and a text of letters of one and of two bytes."""
    folder = tmp_path_factory.mktemp("real")
    llama(vocab_size=257).save_pretrained(folder / "model")
    lines = [json.dumps({"text": f"näher {i * i}, und weiter: {i}"}, ensure_ascii=False) for i in range(400)]
    (folder / "text.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def place_of(folder, **more):
    options = {"path": str(folder / "text.jsonl"), "prompt_length": 4, "max_length": 12}
    settings = {"task": "text", "task_options": options, "model": str(folder / "model"), "demonstrations": 64}
    return Place("t", settings, 1e3, 12, metrics=ASKED, **more)


def test_bits_are_over_the_bytes_of_what_is_decoded(folder):
    place, task = place_of(folder), Text(folder / "text.jsonl", prompt_length=4, max_length=12)
    policy = TokenPolicy(llama(vocab_size=257), task.vocabulary)
    found = measured(task, policy, Decoding(), place, 0)["estimates"]
    items = task.demonstrations(12, "test", 0)
    laws = policy.step_log_probs(items)[..., :257].detach().log_softmax(-1)  # without the backspace
    nats = -(laws.gather(2, items.actions.clamp(max=256)[..., None])[..., 0])[items.inside].sum()
    sizes = [len(task.decode(text).encode()) for text in items.replay().texts(eos=False)]
    assert found["bits_per_byte"]["value"] == pytest.approx(float(nats) / math.log(2) / sum(sizes), rel=1e-5)
    assert 0 < found["mauve_hidden"]["value"] <= 1
    plain = measured(task, policy, Decoding(), replace(place, metrics=()), 0)["estimates"]
    assert {*found} - {*plain} == {*ASKED}


def test_an_attribute_is_that_of_what_was_finally_written():
    task, v = Potentials(length=3, size=4), Vocabulary(size=5, eos=4)
    rows = [[0, 1, v.backspace, 2, 3, 4], [3, 3, 1, 4]]
    written = Trajectories.from_actions(v, [[0], [0]], rows, max_length=3, min_length=3)
    sample = Sample.of(task, TokenPolicy(llama(vocab_size=5), v), written, written)
    found = asked_metrics.metric("attribute").compute(sample)
    assert found.value == pytest.approx((task.score([0, 2, 3]) + task.score([3, 3, 1])) / 2, rel=1e-12)
    text = Automaton(horizon=3)
    assert asked_metrics.metric("attribute").compute(replace(sample, task=text)) is None


def test_what_is_asked_for_is_part_of_the_key_and_nothing_else(folder):
    places = {
        "asked": place_of(folder),
        "not": replace(place_of(folder), metrics=()),
        "named": replace(place_of(folder), metrics=(), needs=("x", "y")),
        "short": replace(place_of(folder), metrics=(), pilot=8),
    }
    keys = {name: Cell(real.CLONING, place, 0).key for name, place in places.items()}
    assert keys["not"] == keys["named"]
    assert keys["asked"].split("-")[0] == keys["not"].split("-")[0] != keys["short"].split("-")[0]
    assert len({*keys.values()}) == 3
    assert {*ASKED}.isdisjoint(metric.name for metric in known_metrics.metrics())
    assert asked_metrics.metric("bits_per_byte").better == "lower"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"metrics": ("bits_per_bite",)}, "unknown metric 'bits_per_bite'; known: .*; did you mean 'bits_per_byte'"),
        ({"settings": {"task": "chain"}}, "place 't': mauve_hidden compares by a model that all arms begin from"),
    ],
)
def test_metrics_that_cannot_be_measured_are_refused_before_anything_runs(folder, change, complaint):
    study = replace(real.REAL, places=(replace(place_of(folder), **change),))
    with pytest.raises(InvalidInputError, match=complaint):
        cells_of(study)


@pytest.mark.parametrize("asked", ["run", "status"])
def test_files_that_have_to_be_made_first_are_named_with_what_makes_them(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        command([asked, "--preset", "real"])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "docstrings.jsonl, which is not here; python -m benchmarks.compounding_error.studies.real" in line
    assert not list(tmp_path.iterdir())


def test_deletions_are_shown_with_what_stood_before_and_what_follows():
    record = {"samples": [["The ", [["cat", False], [" bat", True], [" sat", False], [".", True]]]]}
    assert list(real.deletions([record])) == [("The cat", " bat", " sat"), ("The cat sat", ".", "")]
