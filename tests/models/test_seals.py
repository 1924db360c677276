"""A folder says what its files were, and a policy believes no others."""

import json

import pytest
import torch
from command_line import command
from safetensors.torch import load_file, save_file
from small_llama import V, llama

from seqil import TokenPolicy
from seqil.errors import CheckpointError
from seqil.policy import load_model
from seqil.policy.saved import seals


@pytest.fixture
def folder(tmp_path):
    TokenPolicy(llama(), V).save_pretrained(tmp_path)
    return tmp_path


def written(folder):
    files = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return sorted(files - {"seqil.json"})


def test_every_file_is_sealed(folder):
    assert sorted(json.loads((folder / "seqil.json").read_text())["sha256"]) == written(folder)


def test_a_bit_that_changes_in_any_file_is_noticed(folder):
    for name in written(folder):
        file = folder / name
        before = file.read_bytes()
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(CheckpointError, match=rf"{name} is damaged or was edited.*seqil seal"):
            TokenPolicy.from_pretrained(folder)
        file.unlink()
        with pytest.raises(CheckpointError, match=rf"{name} is missing; restore it.*seqil seal"):
            TokenPolicy.from_pretrained(folder)
        file.write_bytes(before)
    TokenPolicy.from_pretrained(folder)


def test_who_edits_on_purpose_says_so(folder):
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][3] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert torch.equal(TokenPolicy.from_pretrained(folder, verify=False).weight, weights["lm_head.weight"])
    said = command("seal", folder, cwd=folder).stdout
    assert said == f"sealed {len(written(folder))} files of {folder}\n"
    assert torch.equal(TokenPolicy.from_pretrained(folder).weight, weights["lm_head.weight"])


def test_folders_without_sums_still_load(folder):
    said = json.loads((folder / "seqil.json").read_text())
    del said["sha256"]
    (folder / "seqil.json").write_text(json.dumps(said))
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    assert TokenPolicy.from_pretrained(folder).vocabulary == V


def test_a_model_card_and_hidden_files_are_anyones_to_edit(folder):
    (folder / "README.md").write_text("A model.")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "download").write_text("")
    seals.seal(folder)
    (folder / "README.md").write_text("Another model.")
    (folder / ".cache" / "download").unlink()
    TokenPolicy.from_pretrained(folder)


@pytest.mark.parametrize("said", ['"false"', "0", "null"])
def test_a_backspace_is_true_or_false(folder, said):
    path = folder / "seqil.json"
    path.write_text(path.read_text().replace('"backspace": true', f'"backspace": {said}'))
    with pytest.raises(CheckpointError, match="neither true nor false"):
        TokenPolicy.from_pretrained(folder)


@pytest.mark.parametrize(("content", "complaint"), [(None, "is missing"), ("{", "is damaged"), ("[]", "is damaged")])
def test_only_a_folder_with_settings_is_sealed(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "seqil.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"seqil.json {complaint}"):
        seals.seal(tmp_path)


@pytest.mark.parametrize("dtype", [torch.int32, torch.bool])
@pytest.mark.parametrize("name", ["lm_head.weight", "model.norm.weight"])
def test_whole_numbers_are_no_weights(tmp_path, name, dtype):
    llama().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    weights[name] = weights[name].to(dtype)
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"{name} holds numbers of type|cannot be loaded"):
        load_model(tmp_path)
