"""A run as a folder for others, and the card in it."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from command_line import SMALL
from small_llama import V, demonstrations, llama, tokenizer
from transformers import AutoModelForCausalLM, pipeline

import seqil
from seqil import Settings, TokenPolicy
from seqil.cli import exports
from seqil.cli.options import main
from seqil.errors import InvalidInputError
from seqil.models.adapters import with_lora
from seqil.randomness import seeded

WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}


def typed(patch, *arguments):
    patch.setattr(sys, "argv", ["seqil", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on text with a tokenizer, barely trained, and its evaluation."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "text.txt").write_text("w1 w2 w3 w4 w5 w6 w7 w8 w9 w1 w3 w5 w7 w9 w2 w4 w6 w8 " * 20)
    tokenizer(WORDS).save_pretrained(folder / "words")
    options = ["path=text.txt", "tokenizer=words", "prompt_length=2", "max_length=6"]
    chosen = ["--task", "text", "--agent", "bc", *(x for o in options for x in ("--task-option", o))]
    small = ["--steps", "2", "--layers", "1", "--width", "16", "--heads", "2", "--batch-size", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert not typed(patch, "train", *chosen, *small, "--out", "run", "--demonstrations", "4")
        assert not typed(patch, "evaluate", "run", "--split", "train", "-n", "4", "--json", "numbers.json")
    return folder


def test_a_run_is_exported_with_its_tokenizer_and_a_card(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    out = tmp_path / "out"
    assert not typed(monkeypatch, "export", "run", out, "--evaluation", "numbers.json")
    write = pipeline("text-generation", model=str(out), device="cpu")
    assert set(write("w1 w2", do_sample=False, max_new_tokens=4)[0]["generated_text"].replace("w", " w").split()) <= {
        *WORDS
    }
    before = TokenPolicy.from_pretrained(next((run / "run" / "checkpoints").glob("*2")))
    assert torch.equal(TokenPolicy.from_pretrained(out).weight, before.weight)
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    measured = json.loads((run / "numbers.json").read_text())
    for name, estimate in measured["estimates"].items():
        assert f"| {name} | {estimate['value']:.4g}".replace("inf", "∞") in card
    assert "by `bc` for 2 updates of 2 demonstrations of the task `text`" in card
    assert f"max_actions {measured['max_actions']}" in card
    assert "| learning_rate | `0.002` |" in card
    assert "path text.txt" in card
    assert str(run) not in card
    assert typed(monkeypatch, "export", "run", out) == 2  # it is there already


def test_without_its_backspace_it_is_an_ordinary_model(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    assert not typed(monkeypatch, "export", "run", tmp_path / "out", "--without-backspace")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    before = TokenPolicy.from_pretrained(next((run / "run" / "checkpoints").glob("*2")))
    ids = torch.tensor([[1, 2, 3]])
    assert model.get_output_embeddings().weight.shape[0] == V.size
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, before.model(ids).logits[..., : V.size])
    assert not {"backspace_token_id", "backspace_memory"} & set(model.config.to_dict())
    assert model.generation_config.suppress_tokens == [V.eos]  # a single document has no end that could be learned
    assert not TokenPolicy.from_pretrained(tmp_path / "out").backspace
    assert not (tmp_path / "out" / "custom_generate").exists()
    assert "Numbers\n\nNone were measured." in (tmp_path / "out" / "README.md").read_text()


def test_where_no_text_of_the_task_ends_early_none_does_that_generate_writes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    assert not typed(monkeypatch, "export", "run", tmp_path / "out")
    assert (
        "6 tokens; the end, which stands behind all of them alone, is suppressed"
        in (tmp_path / "out" / "README.md").read_text()
    )
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids, how = torch.tensor([[1, 2]] * 100), {"do_sample": True, "top_k": 0, "max_new_tokens": 5}
    ours = {"custom_generate": seqil.generate, "max_actions": 400}
    with seeded(0):
        for written in (model.generate(ids, **how), model.generate(ids, **ours, **how)):
            assert not (written[:, :7] == V.eos).any()
            assert written.shape[1] in (7, 8)  # with deletions a text is closed by its end


def test_of_a_task_with_a_least_length_generate_is_told_it(run, tmp_path):
    policy = TokenPolicy.from_pretrained(next((run / "run" / "checkpoints").glob("*2")))
    policy.save_pretrained(tmp_path)
    exports.say_least(tmp_path, SimpleNamespace(min_length=3, max_length=6, vocabulary=V))
    assert json.loads((tmp_path / "generation_config.json").read_text())["min_new_tokens"] == 3
    assert TokenPolicy.from_pretrained(tmp_path).vocabulary == V
    before = (tmp_path / "generation_config.json").read_bytes()
    exports.say_least(tmp_path, SimpleNamespace(min_length=0, max_length=6, vocabulary=V))
    assert (tmp_path / "generation_config.json").read_bytes() == before


def test_adapters_are_merged(tmp_path):
    settings, task = Settings(), _Task()
    with seeded(0):
        policy = TokenPolicy(with_lora(llama(), 2), V)
    with pytest.raises(InvalidInputError, match="add --merge"):
        exports.export(policy, settings, task, 3, tmp_path / "out", backspace=False)
    assert not list(tmp_path.iterdir())
    exports.export(policy, settings, task, 3, tmp_path / "adapters")
    assert "transformers loads what `seqil export --merge` writes" in (tmp_path / "adapters" / "README.md").read_text()
    exports.export(policy, settings, task, 3, tmp_path / "out", merge=True)
    assert "trust_remote_code=True" in (tmp_path / "out" / "README.md").read_text()
    again, t = TokenPolicy.from_pretrained(tmp_path / "out"), demonstrations()
    assert not again.adapted
    torch.testing.assert_close(again.step_values(t).q, policy.step_values(t).q)


class _Task:
    name, vocabulary, min_length, max_length = "words", V, 0, 8

    def budget(self, asked):
        return 32


@pytest.mark.usefixtures("run")  # what is imported by the first command draws from a global generator
def test_the_page_about_hugging_face_does_what_it_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    assert not typed(monkeypatch, "train", "--out", "runs/first", *SMALL)
    page = (Path(__file__).parents[2] / "docs" / "huggingface.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    for kind, block in blocks:
        for line in block.splitlines() if kind == "bash" else ():
            assert not typed(monkeypatch, *line.split()[1:]), line
        if kind == "python":
            capsys.readouterr()
            with seeded(0):
                exec(block, {})
            shown = block.split("# ")[-1].strip() if "# " in block else "tensor([[1, "
            assert capsys.readouterr().out.replace("[[ ", "[[").replace("  ", " ").startswith(shown)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{}", "is not what seqil evaluate --json writes"),
        ('{"task": "sudoku4", "weights": "", "estimates": {}, "split": "test", "samples": 4, "temperature": 1.0, '
         '"rules": [], "max_actions": 9, "seed": 0}', "is an evaluation on sudoku4, the run is of words"),
        ('{"run": "other", "task": "words", "weights": "0", "estimates": {}, "split": "test", "samples": 4, '
         '"temperature": 1.0, "rules": [], "max_actions": 9, "seed": 0}', r"is of other weights \('other'\); evaluate"),
    ],
)  # fmt: skip
def test_numbers_of_something_else_are_refused(tmp_path, content, complaint):
    (tmp_path / "numbers.json").write_text(content)
    with pytest.raises(InvalidInputError, match=complaint):
        exports._read(tmp_path / "numbers.json", _Task(), "1")


def test_numbers_of_another_run_and_of_a_backspace_that_goes_are_refused(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(run)
    more = ["--task", "text", "--agent", "bc", "--steps", "1", "--layers", "1", "--width", "16", "--heads", "2"]
    more += ["--batch-size", "2", "--demonstrations", "4"]
    for option in ("path=text.txt", "tokenizer=words", "prompt_length=2", "max_length=6"):
        more += ["--task-option", option]
    assert not typed(monkeypatch, "train", *more, "--out", tmp_path / "other")
    capsys.readouterr()
    for arguments, complaint in (
        ((tmp_path / "other",), "is of other weights ('run'); evaluate this run again"),
        (("run", "--without-backspace"), "was measured with the backspace that --without-backspace takes off"),
    ):
        origin, *options = arguments
        assert typed(monkeypatch, "export", origin, tmp_path / "x", "--evaluation", "numbers.json", *options) == 2
        assert complaint in capsys.readouterr().err
        assert not (tmp_path / "x").exists()


def test_the_card_of_a_model_that_was_given_says_nothing_of_the_sizes_of_a_new_one():
    given = Settings.of({**Settings().to_json(), "model": "a folder"})
    card = exports.card(given, _Task(), step=3, backspace=True)
    assert '| model | `"a folder"`' in card
    assert "| width |" not in card
    assert "| width |" in exports.card(Settings(), _Task(), step=3, backspace=True)
