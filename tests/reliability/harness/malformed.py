"""Malformed input, more than fifteen hundred inputs, each with what its one line has to name.

A case is files, a command and a culprit. It is refused with status 2 and one line that matches the culprit, and nothing
is written. Cases of one family differ in what is wrong, or in where.
"""

from __future__ import annotations

import os
import re

from .inputs import corpora, saved, written
from .inputs.case import Case
from .subjects import copied


def judged(forks, subjects, folder, case, limit=60):
    """`(kind, what happened)` of a case."""
    if case.start is None:
        copied(subjects.empty, folder)
    else:
        copied(getattr(subjects, case.start), folder)
    case.prepare(folder)
    before = _names(folder)
    ended = forks.ask(case.program, case.arguments, cwd=folder, limit=limit)
    return _kind(case, ended, before == _names(folder)), f"{case.family}, {case.name}: {ended.code} {ended.err[-900:]}"


def _names(folder):
    return {path: os.lstat(folder / path).st_size for path in map(str, folder.rglob("*")) if not path.endswith(".lock")}


def _kind(case, ended, untouched):
    if ended.code is None:
        return "hang"
    if ended.code == 0:
        return "accepted"
    if not ended.one_line:
        return "traceback" if "Traceback" in ended.err else "no single line"
    if not re.search(case.culprit, ended.err):
        return "names another culprit"
    return "fine" if untouched else "written"


def cases(settings):
    """All of them.

    Args:
        settings: the content of the `settings.json` of a run.
    """
    groups = (
        written.options(), written.own_options(), written.decoding_rules(), written.configs(),
        written.configured(settings), corpora.texts(), corpora.tokenizers(), saved.models(), saved.run_files(settings),
        saved.records(), saved.plugins(), saved.evaluations(), saved.misuse(),
    )  # fmt: skip
    return [case for group in groups for case in group]


__all__ = ["Case", "cases", "judged"]
