"""A folder that is not what it was named as: one line says what it is instead and what to name, and no other line."""

import json
import shutil

import pytest
import torch
from command_line import command
from safetensors.torch import load_file, save_file
from small_llama import llama, tokenizer
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    LlamaConfig,
    LlamaModel,
    MixtralConfig,
    MixtralForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from seqil import TokenPolicy
from seqil.capacity import POINTER
from seqil.errors import CheckpointError, InvalidInputError
from seqil.policy.saved.files import load_model
from seqil.randomness import seeded

WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}
TEXT = ["--task", "text", "--task-option", "path=text.txt", "--task-option", "prompt_length=2"]
TEXT += ["--task-option", "max_length=6", "--agent", "bc", "--steps", "1", "--batch-size", "2", "--demonstrations", "4"]
PULL = "is a pointer of Git LFS, not the file itself; fetch that: git lfs pull"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A sound model with its tokenizer, and a run that began with it."""
    root = tmp_path_factory.mktemp("place")
    (root / "text.txt").write_text("w1 w2 w3 w4 w5 w6 w7 w8 w9 w1 w3 w5 w7 w9 w2 w4 w6 w8 " * 20)
    llama(vocab_size=28).save_pretrained(root / "lm")
    tokenizer(WORDS).save_pretrained(root / "lm")
    done = command("train", *TEXT, "--model", "lm", "--out", "a run", cwd=root)
    assert done.returncode == 0, done.stderr
    assert command("export", "a run", "exported", cwd=root).returncode == 0
    return root


def spoilt(place, spoil):
    """A copy of the model with something wrong."""
    shutil.rmtree(place / "m", ignore_errors=True)
    shutil.copytree(place / "lm", place / "m")
    spoil(place / "m")


def refusal(place, *arguments):
    done = command(*arguments, cwd=place)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def config(**said):
    def spoil(folder):
        found = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**found, **said}))

    return spoil


def holding(name, text):
    return lambda folder: (folder / name).write_bytes(text.encode())


def without(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def renamed(folder):
    weights = load_file(folder / "model.safetensors")
    save_file({f"_orig_mod.{k}": v for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})


def sharded(folder):
    (folder / "model.safetensors").rename(folder / "b.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"v": "b.safetensors", "w": "a.safetensors"}}')


def elsewhere(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"v": "../lm/model.safetensors"}}')


def adapters(folder):
    for file in folder.iterdir():
        file.unlink()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "base"}')


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        *((holding(f, f"{POINTER.decode()}\noid sha256:4d7a\nsize 9\n"), f"seqil: m/{f} {PULL}")
          for f in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")),
        (holding("generation_config.json", POINTER.decode()), f"seqil: m/generation_config.json {PULL}"),
        (holding("config.json", "{no"), "m/config.json is damaged (Expecting property name"),
        (holding("config.json", "[1]"), "m/config.json holds no JSON object"),
        (config(hidden_size="big"), "m/config.json is damaged (Validation error for field 'hidden_size'"),
        (config(model_type="frobnicate"), "m/config.json: this version of transformers knows no model of type 'frob"),
        (config(model_type="x", auto_map={}), "its custom code is not run"),
        (config(model_type=None), "m/config.json names no model_type"),
        (config(intermediate_size=64), "model.layers.0.mlp.down_proj.weight, (16, 32) where (16, 64) is described"),
        (renamed, "holds other weights than its config.json describes"),
        (without("model.safetensors"), "m/model.safetensors is missing, which holds weights"),
        (holding("model.safetensors", "no weights"), "m/model.safetensors is missing or damaged"),
        (sharded, "m/a.safetensors is missing"),
        (elsewhere, "m/model.safetensors.index.json names ../lm/model.safetensors, which is no file beside it"),
        (lambda m: (m / "model.safetensors").rename(m / "model.fp16.safetensors"),
         "m/model.safetensors is missing, and so is model.safetensors.index.json; model.fp16.safetensors there"),
        (config(quantization_config={"quant_method": "gptq", "bits": 4}), "m/config.json: the weights are quantised"),
        (config(quantization_config={}), "m/config.json: the weights are quantised"),
        (config(attn_implementation="flash_attention_2"), "look at its config.json and generation_config.json"),
        (holding("generation_config.json", '{"pad_token_id": "x"}'), "look at its config.json and generation_config"),
        (without("tokenizer.json"), "there is no tokenizer in m: tokenizer.json or vocab.json"),
        (holding("tokenizer.json", "{"), "tokenizer m cannot be loaded"),
        (adapters, "it holds adapters of peft on 'base', and no model; load them with peft"),
        (shutil.rmtree, "model 'm' is not there, and nothing is downloaded"),
    ],
)  # fmt: skip
def test_a_damaged_model_is_named_by_the_file_that_is_wrong(place, spoil, said):
    spoilt(place, spoil)
    assert said in refusal(place, "train", *TEXT, "--model", "m", "--out", "out")
    assert not (place / "out").exists()


SIZES = {"vocab_size": 28, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
OTHERS = {
    "t5": lambda: T5ForConditionalGeneration(T5Config(vocab_size=28, d_model=16, d_ff=16, d_kv=8, num_layers=1)),
    "bart": lambda: BartForConditionalGeneration(
        BartConfig(
            vocab_size=28, d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16
        )
    ),
    "bert": lambda: BertForMaskedLM(BertConfig(**SIZES)),
    "vit": lambda: ViTModel(ViTConfig(**{**SIZES, "image_size": 32})),
}


@pytest.mark.parametrize(
    ("kind", "agent", "said"),
    [
        ("t5", "bc", "holds an encoder-decoder (t5), which reads one text and writes another; give a decoder-only"),
        ("bart", "bc", "holds an encoder-decoder (bart)"),
        ("t5", "masked", "holds an encoder-decoder (t5), which reads one text and writes another; give one, BERT say"),
        ("bert", "bc", "holds an encoder (bert), which sees what is to come"),
        ("vit", "bc", "holds no language model (vit); give a decoder-only model"),
        ("lm", "masked", "holds no masked language model (llama), which this agent trains"),
    ],
)
def test_a_model_of_another_kind_is_named_by_its_kind(place, kind, agent, said):
    if kind in OTHERS and not (place / kind).exists():
        with seeded(0):
            OTHERS[kind]().save_pretrained(place / kind)
        tokenizer(WORDS).save_pretrained(place / kind)
    assert said in refusal(place, "train", *TEXT, "--agent", agent, "--model", kind, "--out", "out")


def test_the_kind_is_looked_at_before_the_tokenizer(place, tmp_path):
    with seeded(0):
        OTHERS["bert"]().save_pretrained(tmp_path / "bert")
    endless = tokenizer(WORDS)
    endless.eos_token = None
    endless.save_pretrained(tmp_path / "bert")
    said = refusal(place, "train", *TEXT, "--model", tmp_path / "bert", "--out", "out")
    assert "holds an encoder (bert), which sees what is to come" in said


@pytest.mark.parametrize("inside", ["checkpoint-2", "snapshots/0123abcd"])
def test_a_folder_of_models_is_told_which_one(place, tmp_path, inside):
    shutil.copytree(place / "lm", tmp_path / "folder" / inside)
    said = refusal(place, "train", *TEXT, "--model", tmp_path / "folder", "--out", "out")
    assert f"no config.json; {inside} in it has one: give {tmp_path / 'folder' / inside}" in said


def test_a_policy_is_not_the_run(place):
    run = place / "a run"
    with pytest.raises(CheckpointError, match=r"it is a run, whose newest policy is .*a run/checkpoints/000000001$"):
        TokenPolicy.from_pretrained(run)
    TokenPolicy.from_pretrained(run / "checkpoints" / "000000001")


def test_a_policy_is_not_saved_as_a_file(place):
    policy = TokenPolicy.from_pretrained(place / "exported")
    with pytest.raises(InvalidInputError, match=r"save_pretrained: .*text\.txt is a file; choose another folder"):
        policy.save_pretrained(place / "text.txt")
    assert (place / "text.txt").read_text().startswith("w1 w2")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a run", "it is of a run; give its newest checkpoint, --model 'a run/checkpoints/000000001', or go on"),
        ("a run", "go on with it: seqil train --out 'a run' --resume"),
        ("a run/checkpoints", "it is of a run; give its newest checkpoint"),
        ("lm/config.json", "it is a file; name its folder"),
    ],
)
def test_what_is_no_model_is_said_to_be_what_it_is(place, given, said):
    assert said in refusal(place, "train", *TEXT, "--task-option", "tokenizer=lm", "--model", given, "--out", "out")


@pytest.mark.parametrize("known", ["a run/checkpoints/000000001", "exported"])
def test_a_checkpoint_and_an_exported_model_are_models(place, known, tmp_path):
    done = command("train", *TEXT, "--model", known, "--out", tmp_path / "out", cwd=place)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", [("evaluate",), ("sample",), ("inspect",), ("export", "to"), ("train", "--resume")])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("exported", "it holds a model, without a task to measure it on; name the run that it was exported from"),
        ("lm", "or begin one with it: seqil train --model lm"),
        ("a run/checkpoints/000000001", "it is a checkpoint of one; name a run"),
        ("a run/checkpoints", "it lies in one; name a run"),
        ("text.txt", "it is a file; name the folder"),
        ("nowhere", "there is no such folder"),
    ],
)
def test_what_is_no_run_is_said_to_be_what_it_is(place, what, given, said):
    name, *others = what
    arguments = [name, "--out", given, *others] if name == "train" else [name, given, *others]
    line = refusal(place, *arguments)
    assert f"{given} is not the folder of a run: " in line
    assert said in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gpt2", "tokenizer gpt2 is not there, and nothing is downloaded"),
        ("lm/tokenizer.json", "is a file; name its folder"),
        ("a run", "there is no tokenizer in a run"),
    ],
)
def test_a_tokenizer_that_is_not_there(place, given, said):
    assert said in refusal(place, "train", *TEXT, "--task-option", f"tokenizer={given}", "--out", "out")


def test_a_tokenizer_serves_beside_a_model_that_is_not_known(place):
    spoilt(place, config(model_type="frobnicate"))
    done = command("train", *TEXT, "--task-option", "tokenizer=m", "--out", "of tokenizer", cwd=place)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("model", ["lm", "bare"])
def test_a_model_of_other_tokens_than_those_of_the_task(place, model):
    if not (place / "bare").exists():
        llama(vocab_size=40).save_pretrained(place / "bare")
    line = refusal(place, "train", "--model", model, "--steps", "1", "--out", "out")
    assert "--task text" in line


def test_a_run_outlives_the_model_that_it_began_with(place, tmp_path):
    shutil.copytree(place, tmp_path / "copy")
    assert command("train", *TEXT, "--model", "lm", "--out", "moved", cwd=tmp_path / "copy").returncode == 0
    before = command("sample", "moved", "--prompt", "w1 w2", cwd=tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/lm")
    after = command("sample", "moved", "--prompt", "w1 w2", cwd=tmp_path / "copy")
    assert (after.returncode, after.stdout) == (0, before.stdout), after.stderr


def test_a_run_goes_on_without_the_model_that_it_began_with(place, tmp_path):
    for name in ("with", "without"):
        shutil.copytree(place, tmp_path / name)
        assert command("train", *TEXT, "--model", "lm", "--out", "moved", cwd=tmp_path / name).returncode == 0
    shutil.rmtree(tmp_path / "without/lm")
    for name in ("with", "without"):
        done = command("train", "--out", "moved", "--resume", "--steps", "3", cwd=tmp_path / name)
        assert done.returncode == 0, done.stderr
    one, other = (
        load_file(tmp_path / name / "moved/checkpoints/000000003/model.safetensors") for name in ("with", "without")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_run_keeps_its_tokenizer_when_that_of_its_model_changes(place, tmp_path):
    shutil.copytree(place, tmp_path / "copy")
    assert command("train", *TEXT, "--model", "lm", "--out", "moved", cwd=tmp_path / "copy").returncode == 0
    before = command("sample", "moved", "--prompt", "w1 w2", cwd=tmp_path / "copy")
    shuffled = {word: WORDS[f"w{(i + 5) % 27}"] if word != "<eos>" else 27 for i, word in enumerate(WORDS)}
    tokenizer(shuffled).save_pretrained(tmp_path / "copy/lm")
    after = command("sample", "moved", "--prompt", "w1 w2", cwd=tmp_path / "copy")
    assert (after.returncode, after.stdout) == (0, before.stdout), after.stderr
    assert command("export", "moved", "out", cwd=tmp_path / "copy").returncode == 0
    known = AutoTokenizer.from_pretrained(tmp_path / "copy/out").get_vocab()
    assert {word: known[word] for word in WORDS} == WORDS


@pytest.mark.parametrize("file", ["model.safetensors", "state.safetensors", "config.json"])
def test_a_checkpoint_whose_files_were_left_behind_by_git(place, tmp_path, file):
    shutil.copytree(place / "a run", tmp_path / "run")
    (tmp_path / "run/checkpoints/000000001" / file).write_bytes(POINTER + b"\noid sha256:4d7a\nsize 9\n")
    assert f"{file} {PULL}" in refusal(tmp_path, "sample", "run")


def test_adapters_whose_model_is_gone(place, tmp_path):
    shutil.copytree(place, tmp_path / "copy")
    assert (
        command("train", *TEXT, "--model", "lm", "--lora", "2", "--out", "low", cwd=tmp_path / "copy").returncode == 0
    )
    shutil.rmtree(tmp_path / "copy/lm")
    line = refusal(tmp_path / "copy", "sample", "low", "--split", "train")
    assert "low/checkpoints/000000001 holds adapters on the model" in line
    assert "lm, which is not there; put it back" in line


def test_adapters_of_a_mixture_of_experts_are_made_in_silence(place):
    with seeded(0):
        sizes = {**SIZES, "num_key_value_heads": 1, "num_local_experts": 2}
        MixtralForCausalLM(MixtralConfig(**sizes)).save_pretrained(place / "experts")
    tokenizer(WORDS).save_pretrained(place / "experts")
    done = command("train", *TEXT, "--model", "experts", "--lora", "2", "--out", "adapted", cwd=place)
    assert done.returncode == 0
    assert all(line.startswith("seqil: warning: the test split of text") for line in done.stderr.splitlines()[1:])
    assert done.stderr.startswith("seqil: warning: text: 36 of 45 windows say what another one says")


def test_a_model_that_was_saved_without_its_head_is_told_so(tmp_path):
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    with seeded(0):
        LlamaModel(config).save_pretrained(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"lm_head.weight; it was saved without a head for tokens: save the model"
    ):
        load_model(tmp_path)


def test_flags_of_outputs_that_nobody_reads_are_put_off(place):
    spoilt(place, config(output_attentions=True, output_hidden_states=True))
    model = load_model(place / "m")
    assert not model.config.output_attentions
    model.save_pretrained(place / "again")
    assert torch.equal(load_model(place / "again").lm_head.weight, model.lm_head.weight)
