"""What a run leaves beside its record: weights and texts, so that it is measured again without being trained again."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from seqil import Task, TokenPolicy, Trajectories, metrics
from seqil.durable import naming
from seqil.mdp.prefix import Prompts, pad_prompts
from seqil.policy.saved.seals import sha256
from seqil.runs import strict_json

from ..study import Decoding
from .measurement import Draw, sampled

TEXTS = 1
"""Version of what decides the texts of given weights: one more wherever that code changes."""

_FACTS, _WEIGHTS = "trained.json", "weights.safetensors"


@dataclass(frozen=True)
class Trained:
    """A training run that is over.

    Attributes:
        facts: what the record says of it.
        stages: steps and costs of each time at which the model was kept, the end last.
        weights: of the policy, at each of them.
    """

    facts: dict[str, Any]
    stages: list[dict[str, Any]]
    weights: list[dict[str, torch.Tensor]]


class Kept:
    """The folder of one training run; without a folder nothing is kept.

    Weights are a file of safetensors; a sample is a compressed file of prompts, actions (int16 where the vocabulary
    allows), costs, and its own name. A file that cannot be read, or is not what was written, counts as lacking.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def training(self) -> Trained | None:
        """What `keep` kept, if it is there as a whole."""
        if self.folder is None:
            return None
        try:
            found = strict_json.loads(strict_json.unsealed((self.folder / _FACTS).read_bytes()) or b"")
            if found.get("weights", sum_ := sha256(self.folder / _WEIGHTS)) != sum_:
                return None
            flat = load_file(self.folder / _WEIGHTS)
        except Exception:  # cut short, or of another format: safetensors raises an exception of its own
            return None
        weights: list[dict[str, torch.Tensor]] = [{} for _ in found["stages"]]
        for name, tensor in flat.items():
            at, _, own = name.partition("/")
            weights[int(at)][own] = tensor
        return Trained(found["facts"], found["stages"], weights)

    def keep(self, trained: Trained) -> None:
        """Write the weights, and last the facts, which say that all is there."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        flat = {f"{i}/{name}": x for i, weights in enumerate(trained.weights) for name, x in weights.items()}
        _replaced(self.folder / _WEIGHTS, lambda file: save_file(flat, file))
        weights = sha256(self.folder / _WEIGHTS)
        text = strict_json.dumps({"facts": trained.facts, "stages": trained.stages, "weights": weights})
        _replaced(self.folder / _FACTS, lambda file: file.write_text(strict_json.sealed(text), encoding="utf-8"))

    def draw(self, stage: int) -> Draw:
        """Like `sampled`, but texts of the weights of a stage that have been drawn before are read."""

        def drawn(
            task: Task, policy: TokenPolicy, how: Decoding, prompts: Prompts, max_actions: int, seed: int
        ) -> tuple[Trajectories, metrics.Cost]:
            if self.folder is None:
                return sampled(task, policy, how, prompts, max_actions, seed)
            decisive = {name: value for name, value in how.decisive.items() if name != "name"}
            what = [TEXTS, stage, decisive, max_actions, seed, task.min_length, task.max_length, _lists(prompts)]
            name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]
            file = self.folder / f"{name}.npz"
            found = _read(file, task, prompts)
            if found is None:
                found = sampled(task, policy, how, prompts, max_actions, seed)
                _write(file, *found)
            return found

        return drawn


def _lists(prompts: Prompts) -> list[list[int]]:
    return prompts.tolist() if isinstance(prompts, torch.Tensor) else [list(map(int, prompt)) for prompt in prompts]


def copied(policy: TokenPolicy) -> dict[str, torch.Tensor]:
    """The weights of a policy as they are now, on the CPU."""
    return {name: x.detach().to("cpu", copy=True).contiguous() for name, x in policy.state_dict().items()}


def _read(file: Path, task: Task, prompts: Prompts) -> tuple[Trajectories, metrics.Cost] | None:
    v = task.vocabulary
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as found:
            held = {name: torch.from_numpy(found[name].astype(np.int64)) for name in found.files}
        cost = metrics.Cost(*(held[name].numpy() for name in ("cost_actions", "cost_forwards", "cost_net")))
        same = torch.equal(held["prompts"], pad_prompts(v, prompts)[0]) and held["of"].tolist() == _of(file)
        lengths: dict[str, Any] = {"min_length": task.min_length, "max_length": task.max_length}
        texts = Trajectories.from_actions(v, prompts, held["actions"], lengths=held["lengths"], **lengths)
    except Exception:  # a damaged archive breaks zlib, zipfile and numpy in many ways
        return None
    return (texts, cost) if same else None


def _of(file: Path) -> list[int]:
    """The bytes of a sample's own name and of its run's, which it holds: another one in its place is none of it."""
    return [*f"{file.parent.name}/{file.name}".encode()]


def _write(file: Path, texts: Trajectories, cost: metrics.Cost) -> None:
    small = np.int16 if texts.vocabulary.num_actions < 2**15 else np.int32
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {
        **{name: getattr(texts, name).numpy().astype(small) for name in ("prompts", "actions")},
        "lengths": texts.lengths.numpy().astype(np.int32),
        **{f"cost_{name}": value.astype(np.int32) for name, value in vars(cost).items()},
        "of": np.array(_of(file), dtype=np.uint8),
    }

    def write(part: Path) -> None:
        with part.open("wb") as out:
            np.savez_compressed(out, **arrays)

    _replaced(file, write)


def _replaced(file: Path, write: Callable[[Path], Any]) -> None:
    """Nobody finds half of it."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with naming(file, "mend the disk and run again to go on"):
            write(part)
            os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
