"""The command line: `seqil train | sample | evaluate | list`. Imports nothing heavy until a command runs."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import InvalidInputError, SeqilError

app = typer.Typer(
    help="Imitation learning for autoregressive generation, with a backspace.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Run = Annotated[Path, typer.Argument(help="Folder of a run, as written by `seqil train --out`.", show_default=False)]


Rules = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=VALUES]",
        help="How to decode, in this order: top_k=K, top_p=P, min_p=P, tabu, loop_guard=MOST, "
        "contrastive_search=K,ALPHA. May be given several times.",
        show_default=False,
    ),
]


def _pairs(help_text: str) -> Any:
    return typer.Option(metavar="KEY=VALUE", help=help_text, show_default=False)


@app.command(
    epilog="Examples:\n\n"
    "  seqil train --out runs/first\n\n"
    "  seqil train --task pydoc --agent bc --no-backspace --out runs/mle\n\n"
    "  seqil train --task text --task-option path=novel.txt --model ./my-gpt2 --out runs/novel\n\n"
    "  seqil train --agent-option divergence=jensen_shannon --agent-option alpha=0.1 --out runs/js\n\n"
    "  seqil train --out runs/first --resume"
)
def train(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/run"),
    task: Annotated[str, typer.Option(help="Id of a task.")] = "automaton",
    agent: Annotated[str, typer.Option(help="Id of an agent.")] = "sequence_match",
    task_option: Annotated[list[str] | None, _pairs("For the task's constructor.")] = None,
    agent_option: Annotated[list[str] | None, _pairs("For the agent's: divergence, alpha, gamma …")] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a causal LM or checkpoint; else a new GPT-2.")] = None,
    layers: Annotated[int, typer.Option(min=1, help="Of the new model.")] = 2,
    width: Annotated[int, typer.Option(min=1, help="Of the new model.")] = 64,
    heads: Annotated[int, typer.Option(min=1, help="Of the new model.")] = 4,
    backspace: Annotated[bool, typer.Option(help="Whether the policy may delete.")] = True,
    demonstrations: Annotated[int, typer.Option(min=1, help="Number of training items.")] = 4000,
    steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 600,
    batch_size: Annotated[int, typer.Option(min=1, help="Demonstrations per update.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak of the schedule.")] = 2e-3,
    noise: Annotated[str, typer.Option(help="uniform, task, model or none.")] = "uniform",
    noise_rate: Annotated[float, typer.Option(help="Probability of a mistake before a token.")] = 0.05,
    burst: Annotated[int, typer.Option(min=1, help="Wrong tokens per mistake.")] = 1,
    mask_noise: Annotated[bool, typer.Option(help="Leave the wrong tokens out of the loss.")] = True,
    average: Annotated[float | None, typer.Option(help="Decay of an average of the weights, 0.99 say.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    save_every: Annotated[int, typer.Option(min=1, help="Steps between two checkpoints.")] = 200,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train an agent on a task."""
    from . import commands

    commands.quiet()
    if resume:
        commands.resume(out, save_every)
        return
    settings = {
        **{"task": task, "agent": agent, "model": model, "layers": layers, "width": width, "heads": heads},
        **{"backspace": backspace, "demonstrations": demonstrations, "steps": steps, "batch_size": batch_size},
        **{"learning_rate": learning_rate, "noise": noise, "noise_rate": noise_rate, "burst": burst},
        **{"mask_noise": mask_noise, "average": average, "seed": seed, "device": device},
        "task_options": parse_pairs(task_option, "--task-option"),
        "agent_options": parse_pairs(agent_option, "--agent-option"),
    }
    commands.train(out, settings, save_every)


@app.command(epilog="Example:\n\n  seqil sample runs/first -n 4 --temperature 0.8 --rule tabu --rule min_p=0.05")
def sample(
    run: Run,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Number of samples.")] = 5,
    split: Annotated[str, typer.Option(help="Where prompts come from: train, valid or test.")] = "test",
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 1.0,
    rule: Rules = None,
    max_length: Annotated[int | None, typer.Option(min=1, help="Most tokens; the task's by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of prompts and samples.")] = 0,
) -> None:
    """Write text and show what was deleted on the way."""
    from . import commands

    commands.quiet()
    commands.sample(run, n, split, temperature, rule or (), max_length, seed)


@app.command(epilog="Example:\n\n  seqil evaluate runs/first -n 1000 --json result.json")
def evaluate(
    run: Run,
    n: Annotated[int, typer.Option("-n", "--number", min=2, help="Number of samples.")] = 500,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 1.0,
    rule: Rules = None,
    seed: Annotated[int, typer.Option(help="Of prompts and samples.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here too.")] = None,
) -> None:
    """Measure a run: errors, backspaces and cost, with intervals."""
    from . import commands

    commands.quiet()
    commands.evaluate(run, n, split, temperature, rule or (), seed, json_file)


class Kind(StrEnum):
    """What others can add."""

    agents = "agents"
    tasks = "tasks"


@app.command(name="list", epilog="Examples:\n\n  seqil list agents\n\n  seqil list tasks")
def list_(kind: Annotated[Kind, typer.Argument(help="What to list.", show_default=False)]) -> None:
    """Show the agents or tasks that are installed, and which of them cannot be used, and why."""
    from . import commands

    commands.quiet()
    commands.show_plugins(kind)


def parse_pairs(pairs: list[str] | None, option: str) -> dict[str, Any]:
    """`["horizon=32", "path=a.txt"]` as `{"horizon": 32, "path": "a.txt"}`; values are JSON where they parse."""
    parsed: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise InvalidInputError(f"{option} {pair!r} is not of the form KEY=VALUE")
        try:
            parsed[key] = json.loads(text)
        except (ValueError, RecursionError):  # not JSON, or more digits or brackets than Python reads
            parsed[key] = text
    return parsed


def main() -> None:
    """Run a command; bad input is one line on stderr and exit status 2."""
    try:
        app()
    except (SeqilError, OSError) as error:
        print(f"seqil: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
