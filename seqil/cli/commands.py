"""What the commands of the command line do."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ..drawing import Drawn
from ..durable import write_asked
from ..errors import InvalidInputError, check_known, counted, quoted, refuse_home
from ..errors.guarded_folders import refuse_among_runs, refuse_guarded
from ..integrations import trackers
from ..learning.processes import Ranks
from ..learning.training import Training
from ..mdp.task import SPLITS, Task
from ..metrics.reported import evaluation
from ..policy.saved.seals import weights_of
from ..rollouts import recording
from ..rollouts.completion import read_prompt
from ..runs import known_metrics, plugins, resumption, strict_json
from ..runs.checkpoint import RunFolder, WatchedFolder
from ..runs.experiment import MEASURED, begun_from, located, make_task, make_training, say_doubts
from ..runs.settings import Settings, merged, read_config, refuse_without_effect, with_memory_of_model
from . import exports, showing
from .described import show_rows
from .together import joined
from .training_loop import carry_on
from .validation import MEASURE, Validation, validated

console = Console(highlight=False, markup=False)  # paths may hold brackets


def quiet() -> None:
    """One progress bar is enough: the libraries below keep theirs to themselves."""
    from transformers.utils.logging import disable_progress_bar

    logging.getLogger("torchrl").setLevel(logging.WARNING)
    disable_progress_bar()


@showing.outlasting()
def train(
    out: Path,
    settings: Mapping[str, Any],
    save_every: int,
    given: Collection[str],
    config: Path | None = None,
    evaluate_every: int | None = None,
    patience: int | None = None,
    max_actions: int | None = None,
    track: Sequence[str] = (),
) -> None:
    """Start a run, once its settings have proved sound; its start is saved first, as its end will have to be.

    Args:
        out: folder of the run.
        settings: of the command line, defaults among them; options of task and agent as they stand there.
        save_every: steps between two checkpoints.
        given: settings that stand on the command line: they come before those of `config`.
        config: a file of settings.
        evaluate_every: steps between two measurements on held-out items; None: none.
        patience: measurements without a better one until the run ends.
        max_actions: of the texts that the last line is about.
        track: names of trackers that are told the metrics.
    """
    trackers.check(track)
    refuse_home(settings["model"] or "")
    refuse_guarded("--out", out, folder=True)
    refuse_among_runs("--out", out)
    own = {name: settings[name] for name in given if name in settings}
    kept = read_config(config) if config else {}
    found = with_memory_of_model(merged(settings, kept, own, settings), {*kept, *own})
    refuse_without_effect(found, [*own, *["max_actions"] * (max_actions is not None)])
    asked = found["demonstrations"]
    chosen = Settings.of({**found, "demonstrations": asked or Settings.demonstrations})
    with joined(chosen.model.device) as ranks:
        run = _folder(out, ranks)
        task = make_task(chosen)
        chosen = replace(chosen, demonstrations=_number(task, "train", asked, chosen.demonstrations))
        if "batch_size" in {*kept, *own} and chosen.batch_size > chosen.demonstrations:
            resumption.warn(
                f"--batch-size {chosen.batch_size} is more than the {counted(chosen.demonstrations, 'demonstration')} "
                "that there are: a batch holds each once"
            )
        training, chosen = make_training(chosen, task, ranks=ranks), located(chosen)
        say_doubts(chosen, task)
        validation = validated(run, task, training.policy, evaluate_every, patience)
        _check_sampling(task, training, validation, max_actions)
        with run.writing():
            run.start({"settings": chosen.to_json(), **resumption.made_with(ranks)})
            try:
                identity = resumption.identity_of(training, chosen)
                run.save(0, training.policy, {"identity": identity, "training": training.state_dict()})
                with showing.watched(console, run, task, validation, max_actions, track, 0):
                    seconds = carry_on(console, run, training, save_every, identity, validation)
            except Exception:
                run.discard()
                raise
        if run.ours:
            _say_finished(run, training, task, seconds, max_actions)


@showing.outlasting()
def resume(
    out: Path,
    save_every: int,
    steps: int | None = None,
    evaluate_every: int | None = None,
    patience: int | None = None,
    max_actions: int | None = None,
    track: Sequence[str] = (),
) -> None:
    """Go on with a run from its newest checkpoint, from its settings alone if it has none yet; to more `steps`."""
    trackers.check(track)
    device = resumption.settings_of(RunFolder(out)).model.device
    with joined(device) as ranks:
        run = _folder(out, ranks)
        chosen = resumption.extended(run, steps)
        resumption.refuse_gone(run, chosen)
        newest = run.latest() if run.complete() else None
        task = make_task(chosen, newest)
        training = make_training(chosen if newest is None else begun_from(chosen, newest), task, ranks=ranks)
        _check_sampling(task, training, None, max_actions)
        resumption.warn_of_changes(run, ranks)
        with run.writing():
            if run.complete():
                resumption.restore(run, training, chosen)
            if ranks is not None:
                ranks.wait()  # all have read what the first is going to change
            resumption.record_extension(run, chosen)
            looks = {"--evaluate-every": evaluate_every, "--patience": patience, "--track": [*track]}
            over = _nothing_left([name for name, value in looks.items() if value])
            blind = _not_any_more(run, evaluate_every, track) * (training.step < chosen.steps)
            console.print(
                f"resumed at step {training.step} of {chosen.steps}{over * (training.step == chosen.steps)}{blind}",
                soft_wrap=True,
            )
            validation = validated(run, task, training.policy, evaluate_every, patience)
            _check_sampling(task, training, validation, max_actions)
            identity = resumption.identity_of(training, chosen)
            with showing.watched(console, run, task, validation, max_actions, track, training.step):
                seconds = carry_on(console, run, training, save_every, identity, validation)
        if run.ours:
            _say_finished(run, training, task, seconds, max_actions)


def _check_sampling(task: Task, training: Training, validation: Validation | None, max_actions: int | None) -> None:
    """Refuse before the first step what would be refused at the last, or at the first measurement."""
    measured = [] if validation is None else [validation.items.prompts]
    showing.check_sampling(task, training.policy, [training.demonstrations.prompts, *measured], max_actions)


def _nothing_left(looks: Sequence[str]) -> str:
    """What is said of a run at its last step, which may have been asked to go on by a job that was started again."""
    idle = f" for {' and '.join(looks)} to look at" if looks else ""
    return f"; nothing is left to train{idle}, give more --steps to go on"


def _not_any_more(run: RunFolder, evaluate_every: int | None, track: Sequence[str]) -> str:
    """What was looked at before and is not from now on, since nobody asks for it."""
    measured = "; held-out items are not measured without --evaluate-every" * (run.best() is not None)
    tracked = "; nothing is tracked without --track" * (run.path / "tracked").exists()
    return measured * (evaluate_every is None) + tracked * (not track)


def _folder(out: Path, ranks: Ranks | None) -> RunFolder:
    """The folder of a run; ranks but the first neither write there nor speak."""
    if ranks is None or ranks.rank == 0:
        return RunFolder(out)
    console.quiet = True
    return WatchedFolder(out)


def sample(
    out: Path,
    n: int | None,
    split: str,
    temperature: float,
    rules: Sequence[str],
    max_length: int | None,
    seed: int,
    asked: Sequence[str] = (),
    form: str | None = None,
    stream: bool = False,
    best: bool = False,
    max_actions: int | None = None,
    record: Path | None = None,
    min_length: int | None = None,
    writing: Mapping[str, str] = {},
) -> None:
    """Print samples with their deletions: after `n` prompts of the task, or `n` after each prompt that is asked for.

    A file to `record` gets them as an animated picture.
    """
    showing.check_target("--record", record, ".svg")
    if stream and form not in (None, "ansi" if showing.shown_as(None, console) == "ansi" else None):
        raise InvalidInputError(
            f"--stream shows text as it is written, --format {form} once it is whole; leave one of them out"
        )
    form = showing.shown_as(form, console)
    policy, _, task, _ = exports.opened(out, best)
    chosen = plugins.rules(rules, task)
    if asked:
        own = [_read(task, text) for text in asked]
        prompts = [prompt for prompt in own for _ in range(n or 1)]
    else:
        prompts = task.prompts(_number(task, split, n, 5), split, seed)
    draw = showing.streamed if stream else showing.texts
    how = {"min_length": min_length, "writing": showing.manner(policy, writing)}
    found = draw(task, policy, prompts, temperature, seed, chosen, max_length, max_actions, **how)
    if not stream:
        showing.show(console, task, prompts, found, form)
    if record is not None:
        texts = [found.recorded(task, prompt, row) for row, prompt in enumerate(prompts)]
        write_asked(record, recording.svg(f"seqil sample {quoted(out)}", texts))
    if form != "json":
        _print_cost(found, task.budget(max_actions, max_length))


def _read(task: Task, text: str) -> list[int]:
    """Ids of a prompt; where the task's own signs are not those that stand there it is said how they are read."""
    ids = read_prompt(task, task.vocabulary, text)
    if type(task).encode is Task.encode and text.strip() and task.decode(ids).split() != text.split():
        resumption.warn(f"--prompt {text!r:.60} is read as {task.decode(ids)!r:.60}, the tokens that {task.name} has")
    return ids


def evaluate(
    out: Path,
    n: int | None,
    split: str,
    temperature: float,
    rules: Sequence[str],
    seed: int,
    json_file: Path | None,
    best: bool = False,
    max_actions: int | None = None,
    own: Sequence[str] = (),
    explain: bool = False,
    writing: Mapping[str, str] = {},
) -> None:
    """Print the metrics of a run on one split, those of the files `own` among them."""
    showing.check_target("--json", json_file)
    showing.check_numbers("--json", json_file)
    entries = known_metrics.metrics(tuple(own))
    policy, _, task, _ = exports.opened(out, best)
    chosen = plugins.rules(rules, task)
    n = _number(task, split, n, 500, least=MEASURED)
    prompts = task.prompts(n, split, seed)
    demonstrations = task.demonstrations(n, split, seed)
    manner = showing.manner(policy, writing)
    found = showing.texts(task, policy, prompts, temperature, seed, chosen, max_actions=max_actions, writing=manner)
    budget = task.budget(max_actions)
    measured = evaluation(task, policy, demonstrations, found.trajectories, found.cost, entries)
    most, told = f"at most {counted(budget, 'action')} a text", [f"{key}={value}" for key, value in writing.items()]
    how = ", ".join([f"temperature {temperature:g}", *map(str, chosen), *(told if found.whole else [most])])
    console.print(f"{out} on {task.name}/{split}, {counted(n, 'sample')}, {how}\n", soft_wrap=True)
    columns = ("metric", "value [95 % interval]", "unit, which way is better", "what it is")
    shown = [one for one in entries if one.name in measured]
    rows = [(e.title, str(measured[e.name]), f"{e.unit} {e.arrow}".strip(), e.about) for e in shown]
    last = len(columns) - (not explain)
    show_rows(console, columns[:last], [row[:last] for row in rows])
    if json_file is not None:
        sampled = {"split": split, "samples": n, "temperature": temperature, "rules": list(map(str, chosen))}
        sampled |= {"writing": manner} if manner else {}
        numbers = {
            **{
                "run": str(out),
                "weights": weights_of(policy),
                "task": task.name,
                **sampled,
                "max_actions": budget,
                "seed": seed,
            },
            "estimates": {name: estimate.to_json() for name, estimate in measured.items()},
        }
        write_asked(json_file, strict_json.dumps(numbers, indent=1) + "\n")


def _say_finished(
    run: RunFolder, training: Training, task: Task, seconds: float, max_actions: int | None = None
) -> None:
    best = run.best()
    if best is not None:
        console.print(
            f"best on held-out items: step {best['step']}, {best[MEASURE]:.4f} nats per token, of those measured"
        )
    costs = training.costs()
    trained = counted(round(costs["training_positions"]), "position")
    console.print(f"trained on {trained}, sampled {costs['rollout_positions']:,}, in {seconds:.0f} s")
    prompts = training.demonstrations.select(slice(0, 64)).prompts
    _print_cost(
        showing.texts(task, training.policy, prompts, 1.0, 0, max_actions=max_actions), task.budget(max_actions)
    )
    console.print(f"seqil sample {quoted(run.path)}     seqil evaluate {quoted(run.path)}", soft_wrap=True)


def _print_cost(found: Drawn, budget: int) -> None:
    cost, net = found.cost, max(found.cost.net.sum(), 1)
    fed = f"{cost.forwards.sum() / net:.3f} forward positions per net token"
    ended = f"{float((~found.trajectories.ended).float().mean()):.1%} unfinished after {counted(budget, 'action')}"
    told = f"{cost.actions.sum() / net:.3f} actions and {fed}, {ended}" if found.whole is None else fed
    console.print(told, soft_wrap=not console.is_terminal)  # a window breaks lines anywhere


def _number(task: Task, split: str, asked: int | None, default: int, least: int = 1) -> int:
    """How many items to take: what was asked for, else the default; where a split has fewer, all of it."""
    check_known("split", split, SPLITS)
    there = task.available(split)
    if there is None:
        return asked or default
    if there < least:
        raise InvalidInputError(
            f"{task.name}: the {split} split has {counted(there, 'item')} and {least} are needed; take another "
            "--split, or give more data"
        )
    if asked is not None and asked > there:
        resumption.warn(f"the {split} split of {task.name} has {counted(there, 'item')}, not {asked}: all are taken")
    return min(asked or default, there)
