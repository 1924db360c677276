"""Numbers of a run in the programs that people watch runs with, by the loggers of TorchRL."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError, MissingExtraError, first_line, suggested

KINDS = {"csv": "csv", "tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio"}
"""Of trackers, and the packages that they need."""

Listener = Callable[[Mapping[str, Any]], None]


class Trackers:
    """Some of them, told the same.

    Args:
        folder: of the run; the files of `csv`, `tensorboard`, `wandb` and `mlflow` are below `tracked` there.
        kinds: names among `KINDS`.
        step: from which the run goes on; it is part of the name, so that what is done again is told apart.

    Raises:
        InvalidInputError: a tracker that cannot be opened.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], step: int) -> None:
        check(kinds)
        self.loggers = [_opened(folder, kind, step) for kind in dict.fromkeys(kinds)]

    def log(self, metrics: Mapping[str, Any]) -> None:
        """One line of metrics, `step` among them."""
        for logger in self.loggers:
            for name, value in metrics.items():
                if name != "step" and isinstance(value, int | float):
                    logger.log_scalar(name, float(value), step=metrics["step"])

    def say(self, text: str, step: int) -> None:
        """Samples; `mlflow` takes none."""
        for logger in self.loggers:
            if hasattr(logger, "log_str"):
                logger.log_str("samples", text, step=step)
            elif hasattr(logger.experiment, "add_text"):
                logger.experiment.add_text("samples", text, step)

    def close(self) -> None:
        """Write out what is left."""
        for logger in self.loggers:
            for name in ("finish", "close", "flush"):
                if hasattr(logger.experiment, name):
                    getattr(logger.experiment, name)()
                    break


def check(kinds: Sequence[str]) -> None:
    """Refuse trackers that are not to be had.

    Raises:
        InvalidInputError: an unknown one.
        MissingExtraError: its package is not installed.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidInputError(f"unknown tracker {kind!r}; known: {', '.join(KINDS)}{suggested(kind, KINDS)}")
        if importlib.util.find_spec(KINDS[kind]) is None:
            raise MissingExtraError(f"the tracker {kind} needs its package; pip install -e '.[{kind}]'")


@contextmanager
def tracking(folder: Path, listeners: list[Listener], kinds: Sequence[str], step: int) -> Iterator[Trackers]:
    """Tell trackers what a run tells its listeners, from a step on."""
    told = Trackers(folder, kinds, step)
    listeners.append(told.log)
    try:
        yield told
    finally:
        listeners.remove(told.log)
        told.close()


def _opened(folder: Path, kind: str, step: int) -> Any:
    from torchrl.record.loggers.utils import get_logger

    more, place, name = {"project": "seqil"}, folder / "tracked", f"{folder.name}-{step:09d}"
    try:
        if kind == "mlflow":  # which no longer takes a folder, as TorchRL would give it
            from torchrl.record.loggers.mlflow import MLFlowLogger

            place.mkdir(parents=True, exist_ok=True)
            return MLFlowLogger(exp_name=name, tracking_uri=f"sqlite:///{place.absolute() / 'mlflow.db'}")
        return get_logger(
            kind,
            str(place),
            name,
            wandb_kwargs=dict(more),
            trackio_kwargs=dict(more),
        )
    except Exception as error:  # a tracker of others may raise anything
        raise InvalidInputError(f"the tracker {kind} cannot be opened: {first_line(error)}") from None
