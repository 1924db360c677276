"""`seqil train | sample`; other files add commands. Nothing heavy is imported until one runs."""

from __future__ import annotations

import io
import os
import sys
from enum import StrEnum
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InvalidInputError, check_known
from ..errors.command_line import parse_path, run_command
from . import together
from .described import Explained

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

_INSTALLED = entry_points()


def _known(kind: str) -> str:
    return ", ".join(sorted({point.name for point in _INSTALLED.select(group=f"seqil.{kind}")}))


def there(paths: Any) -> Any:
    """Refuse a run that is not there at all before anything heavy is imported."""
    for path in paths if isinstance(paths, list | tuple) else [paths]:
        if not path.exists():
            raise InvalidInputError(f"{path} is not the folder of a run: there is no such folder")
    return paths


def _check_installed(kind: str, name: str) -> None:
    """The same of ids; a name of a file is looked at later."""
    if ":" not in name and not name.endswith(".py"):
        check_known(kind, name, sorted({point.name for point in entry_points(group=f"seqil.{kind}s")}))


_RUN = "Folder of a run, as written by `seqil train --out`."
Run = Annotated[Path, typer.Argument(help=_RUN, parser=parse_path, callback=there, show_default=False)]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything that is random.")]
Temperature = Annotated[
    float, typer.Option(min=0, help="Temperature of the softmax; 0 takes the most probable action.")
]
Best = Annotated[
    bool, typer.Option("--best", help="Take the checkpoint that was best on held-out items, not the newest.")
]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=VALUES]",
        help=f"How to decode, in the order given: {_known('rules')} or one of your own, my_rules.py:mine=3. "
        "`seqil list rules` says what each is and takes. May be given several times.",
        show_default=False,
    ),
]


MaxActions = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1_000_000,
        help="Most actions of one text, deletions included; the task's own budget by default. Success depends on it.",
        show_default=False,
    ),
]


def _pairs(help_text: str) -> Any:
    return typer.Option(metavar="KEY=VALUE", help=help_text, show_default=False)


Writing = Annotated[
    list[str] | None,
    _pairs(
        "How a policy of whole texts writes; of masked: block, sweeps, order, at_once; of ice: steps, candidates, "
        "attribute. May be given several times."
    ),
]


@app.command(
    cls=Explained,
    epilog="Examples:\n\n"
    "  seqil train --out runs/first\n\n"
    "  seqil train --task pydoc --agent bc --no-backspace --out runs/mle\n\n"
    "  seqil train --task text --task-option path=novel.txt --model ./my-gpt2 --out runs/novel\n\n"
    "  seqil train --agent-option divergence=jensen_shannon --agent-option alpha=0.1 --out runs/js\n\n"
    "  seqil train --out runs/first --resume\n\n"
    "  seqil train --agent gail --task text --help",
)
def train(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="PATH", parser=parse_path)] = Path("runs/run"),
    task: Annotated[str, typer.Option(help="The task, by its id or its file; see `seqil list tasks`.")] = "automaton",
    agent: Annotated[
        str, typer.Option(help="The agent, by its id or its file; see `seqil list agents`.")
    ] = "sequence_match",
    task_option: Annotated[list[str] | None, _pairs("An option of the task; see --task NAME --help.")] = None,
    agent_option: Annotated[list[str] | None, _pairs("An option of the agent; see --agent NAME --help.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a causal LM or checkpoint; else a new GPT-2.")] = None,
    layers: Annotated[int, typer.Option(min=0, help="Layers of the new model; with 0 it sees one token.")] = 2,
    width: Annotated[int, typer.Option(min=1, help="Width of the new model's layers.")] = 64,
    heads: Annotated[int, typer.Option(min=1, help="Heads of attention of the new model.")] = 4,
    backspace: Annotated[bool, typer.Option(help="Whether the policy may delete.")] = True,
    memory: Annotated[
        str,
        typer.Option(
            help="What a state holds beside the text: prefix, tried or history; a checkpoint as --model brings its own."
        ),
    ] = "prefix",
    tried_term: Annotated[
        bool, typer.Option("--tried-term", help="Learn from what was tried, beside forbidding it (--memory tried).")
    ] = False,
    backspace_row: Annotated[
        str | None,
        typer.Option(
            help="What the row behind the tokens of a padded head is to be: keep or mean.",
            show_default=False,
        ),
    ] = None,
    lora: Annotated[
        int | None, typer.Option(min=1, help="Train adapters of this rank, not the model.", show_default=False)
    ] = None,
    dtype: Annotated[str, typer.Option(help="Numbers to compute with: float32 or bfloat16.")] = "float32",
    demonstrations: Annotated[
        int | None, typer.Option(min=1, help="Number of training items; 4000, or all, by default.", show_default=False)
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Number of updates; with --resume the number to go on to, at its schedule.")
    ] = 600,
    batch_size: Annotated[int, typer.Option(min=1, help="Demonstrations per update.")] = 32,
    microbatch: Annotated[
        int | None,
        typer.Option(min=1, help="Demonstrations in memory at once; all by default.", show_default=False),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Learning rate at the peak of the schedule.")] = 2e-3,
    noise: Annotated[
        str, typer.Option(help=f"Where wrong tokens come from: {_known('noise')}, or my_noise.py:mine.")
    ] = "uniform",
    noise_rate: Annotated[float, typer.Option(help="Probability of a mistake before a token.")] = 0.05,
    burst: Annotated[int, typer.Option(min=1, help="Wrong tokens per mistake.")] = 1,
    mask_noise: Annotated[bool, typer.Option(help="Leave the wrong tokens out of the loss.")] = True,
    average: Annotated[float | None, typer.Option(help="Decay of an average of the weights, 0.99 say.")] = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="Where the model is trained, cpu or cuda.")] = "cpu",
    save_every: Annotated[int, typer.Option(min=1, help="Updates between two checkpoints.")] = 200,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps between two measurements on held-out items, which show samples; the best checkpoint is kept.",
            show_default=False,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Measurements without a better one after which the run ends.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Settings from a TOML or JSON file, the settings.json of a run say; options given here come first.",
            metavar="PATH",
            parser=parse_path,
            show_default=False,
        ),
    ] = None,
    max_actions: MaxActions = None,
    track: Annotated[list[str] | None, typer.Option(help="Tracker: csv, tensorboard, wandb, mlflow, trackio.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train an agent on a task."""
    _check_installed("agent", agent)
    _check_installed("task", task)
    from . import commands

    commands.quiet()
    if patience and not evaluate_every:
        raise InvalidInputError("--patience counts measurements: give --evaluate-every too")
    if resume:
        _refuse_settings(ctx, out)
        more = steps if "steps" in _given(ctx) else None
        commands.resume(out, save_every, more, evaluate_every, patience, max_actions, track or ())
        return
    settings = {
        **{"task": task, "agent": agent, "model": model, "layers": layers, "width": width, "heads": heads},
        **{"backspace": backspace, "backspace_row": backspace_row, "dtype": dtype, "lora": lora},
        **{"demonstrations": demonstrations, "steps": steps, "batch_size": batch_size, "microbatch": microbatch},
        **{"learning_rate": learning_rate, "noise": noise, "noise_rate": noise_rate, "burst": burst},
        **{"memory": memory, "tried_term": tried_term, "mask_noise": mask_noise, "average": average},
        **{"seed": seed, "device": device},
        "task_options": parse_pairs(task_option, "--task-option"),
        "agent_options": parse_pairs(agent_option, "--agent-option"),
    }
    commands.train(out, settings, save_every, _given(ctx), config, evaluate_every, patience, max_actions, track or ())


def _show_version(asked: bool) -> None:
    if asked:
        print(f"seqil {version('seqil')}")
        raise typer.Exit


@app.callback()
def seqil(
    shown: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """Imitation learning for autoregressive generation, with a backspace."""


class Form(StrEnum):
    """How samples are shown."""

    ansi = "ansi"
    marks = "marks"
    json = "json"


@app.command(
    epilog="Examples:\n\n"
    "  seqil sample runs/first -n 4 --temperature 0.8 --rule tabu --rule min_p=0.05\n\n"
    '  seqil sample runs/novel --prompt "It was a bright" --stream\n\n'
    "  seqil sample runs/novel -n 100 --format json > samples.jsonl"
)
def sample(
    run: Run,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--number",
            min=1,
            max=10_000,
            help="Number of samples: 5, or 1 after each prompt of your own.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="A prompt of your own; an empty one is the start. May be given several times.",
            metavar="TEXT",
            show_default=False,
        ),
    ] = None,
    prompt_file: Annotated[
        list[Path] | None,
        typer.Option(
            help="A text file that is a prompt as a whole.", metavar="PATH", parser=parse_path, show_default=False
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Where prompts come from: train, valid or test.", show_default="test")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0, help="Temperature of the softmax; 0 takes the most probable action.")
    ] = 1.0,
    rule: Rules = None,
    writing: Writing = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Most tokens of a text; the task's by default.")] = None,
    min_length: Annotated[
        int | None, typer.Option(min=0, help="Fewest tokens before a text may end; the task's by default.")
    ] = None,
    max_actions: MaxActions = None,
    seed: Seed = 0,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="ansi: deleted text is struck out; marks: it stands between [- and -], and [|] ends the prompt; json: "
            "one object per line. By default ansi on a terminal with colours, marks elsewhere.",
            show_default=False,
        ),
    ] = None,
    best: Best = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Show text as it is written; where nothing can be struck out, ⌫ deletes.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Write them into an SVG file too, animated.", metavar="PATH", parser=parse_path, show_default=False
        ),
    ] = None,
) -> None:
    """Write text and show what was deleted on the way."""
    from ..rollouts.completion import prompt_of_file
    from . import commands

    commands.quiet()
    asked = [*(prompt or ()), *map(prompt_of_file, prompt_file or ())]
    if asked and split is not None:
        raise InvalidInputError("--split would do nothing: the prompts are your own; leave it out")
    how: dict[str, Any] = {"max_actions": max_actions, "min_length": min_length, "record": record}
    how |= {"writing": parse_pairs(writing, "--writing")}
    split = "test" if split is None else split
    commands.sample(run, n, split, temperature, rule or (), max_length, seed, asked, form, stream, best, **how)


def _given(ctx: typer.Context) -> list[str]:
    """Names of the parameters that stand on the command line."""
    names = [str(option.name) for option in ctx.command.params]
    sources = [ctx.get_parameter_source(name) for name in names]
    return [name for name, source in zip(names, sources, strict=True) if source and source.name == "COMMANDLINE"]


def _refuse_settings(ctx: typer.Context, out: Path) -> None:
    """A run goes on as what it was, where there is one: name the options that say otherwise."""
    from ..runs.checkpoint import RunFolder

    _ = RunFolder(out).settings
    free = "out resume save_every steps evaluate_every patience max_actions track"
    asked = set(_given(ctx)) - set(free.split())
    given = [option.opts[0] for option in ctx.command.params if option.name in asked]
    if given:
        raise InvalidInputError(f"--resume goes on with the settings of the run; leave out {', '.join(given)}")


def parse_pairs(pairs: list[str] | None, option: str) -> dict[str, str]:
    """`["horizon=32", "path=a.txt"]` as `{"horizon": "32", "path": "a.txt"}`."""
    parsed: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InvalidInputError(f"{option} {pair!r} is not of the form KEY=VALUE")
        if key in parsed:
            raise InvalidInputError(f"{option}: {key}={parsed[key]} and {pair}; give one of them")
        parsed[key] = text
    return parsed


def main() -> None:
    """Run a command; bad input is one line on stderr and exit status 2."""
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")  # then threads that wait leave a busy machine to others
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # text may hold what a terminal cannot show
    asked = sys.argv[1:] or ["--help"]
    run_command(app, asked, "seqil", before=lambda: together.refuse_other_commands(asked[0]), speaks=together.speaks)
