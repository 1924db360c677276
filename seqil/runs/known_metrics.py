"""Which metrics are reported: the built-in ones, and those that other distributions register as `seqil.metrics`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib.metadata import version

from ..errors import InvalidInputError, suggested
from ..metrics.entries import Metric
from ..metrics.reported import METRICS
from . import plugins
from .own_files import is_reference


@lru_cache(maxsize=8)
def metrics(own: tuple[str, ...] = ()) -> tuple[Metric, ...]:
    """In the order of tables: by group, the built-in ones first.

    Args:
        own: others, by their file, `my_metric.py:no_token_twice`.

    Raises:
        InvalidInputError: what a distribution registers or a file names is no metric, or has the name of another one.
    """
    found = tuple(_all(own))
    groups = ("quality", "sampling", "further", "")
    return tuple(sorted(found, key=lambda metric: groups.index(metric.group)))


def metric(name: str) -> Metric | None:
    """By its name; None of one that is not installed here, such as that of a record from elsewhere."""
    return next((one for one in metrics() if one.name == name), None)


def listed() -> list[plugins.Plugin]:
    """The built-in ones in the order of tables, then what is registered."""
    package = version("seqil")
    built_in = [plugins.Plugin(one.name, "seqil", package, one.about, usable=True) for one in METRICS]
    return built_in + plugins.registered("metrics")


def _refuse_built_in(name: str, there: Collection[str]) -> None:
    """Refuse a metric of one's own by the name of one that is measured anyway, or by one that is like it."""
    if name in there:
        raise InvalidInputError(
            f"--metric {name}: it is measured anyway; give one of your own, my_metric.py:no_token_twice"
        )
    near = "" if is_reference(name) or name in plugins.names("metrics") else suggested(name, there)
    if near:
        raise InvalidInputError(f"--metric {name}: no file of your own{near} That one is measured anyway")


def _all(own: tuple[str, ...]) -> Iterator[Metric]:
    yield from METRICS
    taken = {one.name for one in METRICS}
    for name in own:
        _refuse_built_in(name, taken)
    for point in (*plugins.names("metrics"), *own):
        one: Metric = plugins.load("metrics", point)
        if one.name in taken:
            raise InvalidInputError(f"two metrics have the name {one.name!r}; give that of {point!r} another")
        taken.add(one.name)
        yield one
