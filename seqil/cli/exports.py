"""A run as a folder for others: its model, its tokenizer, and a card that says what it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from ..capacity import read_bytes
from ..durable import flush, flush_all, make_folder, naming, taken_back
from ..errors import InvalidInputError, counted, first_line
from ..errors.guarded_folders import refuse_guarded
from ..mdp.task import Task
from ..models.head_rows import MARK, MEMORY
from ..policy.saved import seals
from ..policy.token_policy import TokenPolicy
from ..randomness import borrowed
from ..runs import plugins
from ..runs.checkpoint import RunFolder
from ..runs.experiment import make_task
from ..runs.resumption import opened as settings_of_newest
from ..runs.resumption import refuse_gone, refuse_other_data
from ..runs.settings import Chosen, Settings
from ..statistics import Estimate


def opened(path: Path, best: bool = False) -> tuple[Any, Settings, Task, int]:
    """Policy (of tokens, or of whole texts), settings, task and updates of a run."""
    run = RunFolder(path)
    settings, checkpoint, identity = settings_of_newest(run)
    refuse_gone(run, settings)
    step, about = int(checkpoint.name), run.best()
    if best:
        if about is None:
            raise InvalidInputError(f"{path} holds no best checkpoint; train it with --evaluate-every")
        step, checkpoint = int(about["step"]), run.path / "best"
    task, cls = make_task(settings, checkpoint), plugins.load("agents", settings.agent.name)
    refuse_other_data(run, settings, identity, task)
    return cls.policy_class.from_pretrained(checkpoint, task.vocabulary), settings, task, step


def export(
    policy: TokenPolicy,
    settings: Settings,
    task: Task,
    step: int,
    folder: Path,
    *,
    backspace: bool = True,
    merge: bool = False,
    evaluation: Path | None = None,
) -> None:
    """Write the folder, whole or not at all.

    Args:
        policy: of the run; it may be changed.
        settings: of the run.
        task: of the run; its tokenizer, if it has one, goes along.
        step: updates that the policy has had.
        folder: must not exist, or be empty.
        backspace: False: without its row, an ordinary model, whose law is the policy's where it does not delete.
        merge: whether adapters become part of the weights.
        evaluation: a file of `seqil evaluate --json`, of the same weights, for the card.

    Raises:
        InvalidInputError: a policy of whole texts, a folder with something in it, adapters that would have to be
            merged, or an evaluation of another task, other weights, or a backspace that is taken off.
        CheckpointError: the disk refused.
    """
    if not isinstance(policy, TokenPolicy):
        raise InvalidInputError(
            f"{settings.agent.name} trains a policy of whole texts, which no `generate` writes with; load the newest "
            f"folder below checkpoints by {type(policy).__name__}.from_pretrained"
        )
    if policy.tried_term is not None:
        raise InvalidInputError(
            "the policy has a learned term of what was tried, which transformers does not know; load its checkpoint by "
            "TokenPolicy.from_pretrained, or train without --tried-term"
        )
    refuse_guarded("the folder", folder, folder=True)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInputError(f"{folder} is there already; choose another folder")
    if merge and not policy.adapted:
        raise InvalidInputError("--merge would do nothing: the policy has no adapters; leave it out")
    if evaluation is not None and policy.backspace and not backspace:
        raise InvalidInputError(
            "--evaluation was measured with the backspace that --without-backspace takes off; leave one of them out"
        )
    numbers = None if evaluation is None else _read(evaluation, task, seals.weights_of(policy))
    policy = policy.merged() if merge else policy
    policy = policy if backspace else without_backspace(policy)
    written = card(settings, task, step=step, backspace=policy.backspace, adapted=bool(policy.adapted), numbers=numbers)
    temporary = folder.with_name(f".{folder.name}.part")
    with naming(folder, "free some space, or choose another folder"), taken_back(temporary):
        make_folder(temporary.parent)
        temporary.mkdir()
        policy.save_pretrained(temporary, getattr(task, "tokenizer", None))
        say_least(temporary, task)
        (temporary / "README.md").write_text(written, encoding="utf-8")
        flush_all(temporary)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
        flush(folder.parent)


def say_least(folder: Path, task: Task) -> None:
    """Where a text may not end yet nothing was learned of its end, which `generate` is told not to write."""
    if not task.min_length or not (folder / GENERATION_CONFIG_NAME).exists():  # that of adapters lies elsewhere
        return
    config = GenerationConfig.from_pretrained(folder)
    if task.min_length == task.max_length:
        config.suppress_tokens = sorted({task.vocabulary.eos, *(config.suppress_tokens or ())})
    else:
        config.min_new_tokens = task.min_length
    config.save_pretrained(folder)
    seals.seal(folder)


def without_backspace(policy: TokenPolicy) -> TokenPolicy:
    """Its model without the row of the backspace or any behind it: the law of tokens, given that none is deleted.

    Raises:
        InvalidInputError: its head is frozen below adapters.
    """
    if not policy.backspace:
        return policy
    if policy.adapted:
        raise InvalidInputError("the backspace of a model with adapters is no row of its head; add --merge")
    model, V = policy.model, policy.vocabulary.size
    with borrowed():  # it draws, even to shrink
        model.resize_token_embeddings(V)
    for mark in (MARK, MEMORY):
        if hasattr(model.config, mark):
            delattr(model.config, mark)
    return TokenPolicy.wrap(model, policy.vocabulary, backspace=False, dtype=policy.computation)


def card(
    settings: Settings,
    task: Task,
    *,
    step: int,
    backspace: bool,
    adapted: bool = False,
    numbers: Mapping[str, Any] | None = None,
) -> str:
    """A model card in Markdown: what was trained, on what, how, and the numbers of an evaluation with intervals.

    Files stand there by their names: where they lie on this machine is nobody's business.
    """
    settings = Settings.of(_without_folders(settings.to_json()))
    unused = () if settings.model.path is None else ("layers", "width", "heads")  # the model that was given has its own
    agent, of = _named(settings.agent), _named(settings.task)
    about = "writes and deletes: its last action is a backspace" if backspace else "has no backspace"
    usage = _ADAPTED if adapted else _DELETING if backspace else _PLAIN
    said = settings.to_json().items()
    known = [(name, value) for name, value in said if value not in (None, {}, []) and name not in unused]
    budget = counted(task.budget(None), "action")
    trained = f"{counted(step, 'update')} of {counted(settings.batch_size, 'demonstration')}"
    parts = [
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- seqil\n---\n",
        f"# {task.name}\n\nA causal language model that {about}. It was trained by {agent} for {trained} "
        f"of the task {of}, with the noise "
        f"`{settings.noise.source}` at rate {settings.noise.rate:g}.\n\n"
        f"Vocabulary: {task.vocabulary.size} tokens, the end is {task.vocabulary.eos}"
        + (f", the backspace {task.vocabulary.backspace}" if backspace else "")
        + f". A text has {_sized(task)}, and {budget} to write them with.\n",
        usage,
        _numbers(numbers),
        "## Settings\n\n" + _table(("setting", "value"), [(n, f"`{json.dumps(v)}`") for n, v in known]),
    ]
    return "\n".join(parts)


def _sized(task: Task) -> str:
    most = counted(task.max_length, "token")
    if task.min_length == task.max_length:
        return f"{most}; the end, which stands behind all of them alone, is suppressed"
    return f"at most {most}" + f" and at least {task.min_length}" * bool(task.min_length)


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_folders(one) for name, one in value.items()}
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


_PLAIN = (
    '## Use\n\n```python\nfrom transformers import pipeline\n\nwrite = pipeline("text-generation", model=FOLDER)\n```\n'
)
_ADAPTED = (
    "## Use\n\nIt holds adapters, which the package seqil loads with the model below them; transformers loads what "
    "`seqil export --merge` writes.\n\n"
    "```python\nfrom seqil import TokenPolicy\n\npolicy = TokenPolicy.from_pretrained(FOLDER)\n```\n"
)
_DELETING = (
    "## Use\n\nWith the package seqil, `generate` deletes; without it, it is the model without a backspace.\n\n"
    "```python\nfrom transformers import AutoModelForCausalLM\n\n"
    "model = AutoModelForCausalLM.from_pretrained(FOLDER, trust_remote_code=True)\n"
    "model.generate(input_ids, do_sample=True, top_k=0, max_new_tokens=64)\n```\n"
)


def _read(file: Path, task: Task, weights: str) -> Mapping[str, Any]:
    foreign = f"--evaluation {file} is not what seqil evaluate --json writes"
    try:
        numbers = json.loads(read_bytes(file).decode())
    except FileNotFoundError:
        raise InvalidInputError(f"--evaluation {file} does not exist; seqil evaluate --json writes one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{foreign}: it cannot be read as JSON ({first_line(error)})") from None
    if not isinstance(numbers, dict):
        raise InvalidInputError(f"{foreign}: it holds no JSON object")
    for name in ("estimates", "task", "weights", *_HOW):
        if name not in numbers:
            raise InvalidInputError(f"{foreign}: it does not say {name!r}")
    if not isinstance(numbers["estimates"], dict):
        raise InvalidInputError(f"{foreign}: its estimates are no numbers by name")
    if numbers["task"] != task.name:
        raise InvalidInputError(f"--evaluation {file} is an evaluation on {numbers['task']}, the run is of {task.name}")
    try:
        estimates = {name: Estimate.of(row) for name, row in numbers["estimates"].items()}
    except InvalidInputError as error:
        raise InvalidInputError(f"{foreign}: {error}") from None
    if numbers["weights"] != weights:
        raise InvalidInputError(
            f"--evaluation {file} is of other weights ({numbers.get('run', 'a run')!r}); evaluate this run again, "
            "--best if that is exported"
        )
    return {"how": {name: numbers[name] for name in _HOW}, "estimates": estimates}


_HOW = ("split", "samples", "temperature", "rules", "max_actions", "seed")


def _numbers(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None:
        return "## Numbers\n\nNone were measured.\n"
    rows = [(name, str(estimate)) for name, estimate in numbers["estimates"].items()]
    return f"## Numbers\n\nMeasured with {_listed(numbers['how'])}.\n\n" + _table(
        ("metric", "value [95 % interval]"), rows
    )


def _named(chosen: Chosen) -> str:
    return f"`{chosen.name}`" + (f" ({_listed(chosen.options)})" if chosen.options else "")


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    )


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *rows]
    return "".join(f"| {left} | {right} |\n" for left, right in lines)
