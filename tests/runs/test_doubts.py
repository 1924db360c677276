"""What is found out after hours is said before a run begins."""

import pytest
from small_llama import llama, tokenizer

import seqil.cli.commands  # noqa: F401  (libraries below draw random numbers when they are first imported)
from envs.tasks import Text
from seqil import ModelSettings, Settings, TokenPolicy
from seqil.cli.options import main
from seqil.errors import InvalidInputError
from seqil.runs.experiment import make_training, say_doubts

CHOSEN = ["--task", "text", "--task-option", "path=text.txt", "--model", "model"]
BYTES = "there is no tokenizer in {}: the model reads bytes as ids 0 to 255, and 256 as the end"


def said(settings, task, capsys):
    capsys.readouterr()
    say_doubts(settings, task)
    return capsys.readouterr().err


@pytest.fixture
def text(tmp_path):
    """A task on bytes."""
    (tmp_path / "text.txt").write_text(" ".join(map(str, range(600))))
    return Text(tmp_path / "text.txt", prompt_length=4, max_length=8)


def test_a_model_without_a_tokenizer_is_said_to_read_bytes(text, tmp_path, capsys):
    llama(vocab_size=257).save_pretrained(tmp_path / "plain")
    of_plain = Settings(model=ModelSettings(path=str(tmp_path / "plain")))
    assert BYTES.format(tmp_path / "plain") in said(of_plain, text, capsys)
    assert said(Settings(), text, capsys) == ""
    words = tokenizer({f"w{i}": i for i in range(27)} | {"<eos>": 27})
    (tmp_path / "words.txt").write_text(" ".join(f"w{i * i // 7 % 26}" for i in range(1800)))
    assert said(of_plain, Text(tmp_path / "words.txt", words, 4, 8), capsys) == ""
    TokenPolicy(llama(vocab_size=257), text.vocabulary).save_pretrained(tmp_path / "saved")
    assert said(Settings(model=ModelSettings(path=str(tmp_path / "saved"))), text, capsys) == ""


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (0, "the test split of t is empty: sample and evaluate need --split train"),
        (1, "the test split of t has 1 item, evaluate needs 2: --split train"),
        (2, ""),
        (None, ""),
    ],
)
def test_a_test_split_that_cannot_be_evaluated(there, wanted, capsys):
    class Few:
        name = "t"

        def available(self, split):
            return there

    assert wanted in said(Settings(), Few(), capsys)
    assert bool(wanted) == bool(said(Settings(), Few(), capsys))


def test_a_text_that_is_longer_than_the_model_is_refused_with_the_length_that_fits(text, tmp_path):
    llama(vocab_size=257).save_pretrained(tmp_path / "short")  # 32 positions

    def make(length):
        task = Text(tmp_path / "text.txt", prompt_length=4, max_length=length)
        settings = Settings.of({"model": str(tmp_path / "short"), "agent": "bc", "demonstrations": 4})
        return make_training(settings, task)

    with pytest.raises(InvalidInputError, match=r"take 45 positions.*has 32.*\(--task-option max_length=27\)"):
        make(40)
    assert make(27).agent.policy.max_positions == 32


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "restore its tokenizer.json"),
        (lambda folder: (folder / "tokenizer_config.json").unlink(), "the eos_token of tokenizer_config.json"),
    ],
    ids=["cut", "no end"],
)
def test_a_tokenizer_that_is_damaged_is_named_with_what_to_restore(tmp_path, monkeypatch, capsys, spoil, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("w1 w2 w3 w4 w5 w6 w7 " * 40)
    tokenizer({f"w{i}": i for i in range(27)} | {"<eos>": 27}).save_pretrained("model")
    llama().save_pretrained("model")
    spoil(tmp_path / "model")
    monkeypatch.setattr("sys.argv", ["seqil", "train", *CHOSEN])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("copies", [4, 5])
def test_text_that_is_mostly_repeated_is_said_to_be(copies, tmp_path, capsys):
    once = "".join(f'{{"text": "line {i}, and nothing more is said"}}\n' for i in range(200))
    (tmp_path / "text.jsonl").write_text(once * copies)
    task = Text(tmp_path / "text.jsonl", prompt_length=20, max_length=40)
    found, kept = said(Settings(), task, capsys), len(task.windows.places)
    whole = kept * copies
    assert found == (
        f"seqil: warning: text: {whole - kept:,} of {whole:,} windows say what another one says, and were left out\n"
        if copies > 4
        else ""
    )
