"""Do the committed records still say what README and docs say?

A text marks what comes from records: `<!-- study:quick -->` … `<!-- /study -->` encloses the tables of a study as a
terminal shows them, `<!-- table:agents/chain -->` … `<!-- /table -->` the table of one task in Markdown, and
`0.0045<!-- quick/automaton/MLE/hazard -->` is one number, rounded as it stands there (see `prose.quotations` for more);
`2<!-- verdicts:cpu/holds -->` counts the hypotheses of a study that have that status, and
`2.00<!-- speed:FILE/NAME -->` is a measured ratio (`prose.speeds`). Where `docs/claims.toml` stands beside a text, its
claims and what all texts say around them are checked too, see `prose.statements`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

from rich.console import Console

from seqil.errors import InvalidInputError, SeqilError
from seqil.runs import results_file

from ..reliability import page as reliability
from .analysis.results import Results
from .analysis.tables import WIDTH, markdown, markdown_table, show
from .hypotheses.claims import verdicts
from .prose import pages, quotations, speeds, statements, wording
from .prose.quotations import NUMBER, Load
from .prose.speeds import SPEED
from .running.cells import cells_of
from .running.runner import named_as_now
from .studies import PRESETS
from .studies.base.possible import lacking
from .study import Study

ROOT = Path(__file__).resolve().parents[2]
_GUIDES = ("agents", "envs/tasks", "seqil/metrics", "seqil/decoding", "benchmarks/compounding_error/studies")
TEXTS = (
    *(ROOT / "README.md", ROOT / "docs", ROOT / "CONTRIBUTING.md"),
    *(ROOT / guide / "README.md" for guide in _GUIDES),
)
RESULTS = Path(__file__).resolve().parent / "results"
RELIABILITY = ROOT / "docs" / "reliability.md"

_BLOCK = re.compile(r"(<!-- (study|table):([^>]+?) -->\n)(.*?)(<!-- /\2 -->)", re.DOTALL)
_VERDICTS = re.compile(r"\b(\d+)(<!-- verdicts:([\w-]+)/(\w+) -->)")
_DECLARED = re.compile("<!-- metrics -->")  # the builder of the site puts something in its place
_COMMENT = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)


def verify(texts: Sequence[Path], results: Path, write: bool = False) -> list[str]:
    """What was checked, a line each.

    Args:
        texts: files, and folders of which every page is one, those of folders below and tutorials too, but what is made
            of claims.
        results: a folder with one folder per study: `results.jsonl` and the `table.md` that was made of it.
        write: bring both up to date instead.

    Raises:
        InvalidInputError: a text is not UTF-8, nothing is marked in any, a comment is no marker, or one names what
            there is no record of.
        SeqilError: at the end, if a number has drifted; one line names all.
    """
    load = lru_cache(partial(_load, results))
    said = {file: _read(file) for text in texts for file in pages.files(text)}
    renewed = {file: _renewed(file, text, load) for file, text in said.items()}
    marked = {file: counts for file, (_, *counts) in renewed.items() if any(counts)}
    if not marked:
        names = " and ".join(map(str, texts))
        raise InvalidInputError(f"{names} marks no number as coming from records, <!-- study:quick --> say")
    drifted = [line for file, (new, *_) in renewed.items() for line in _differences(file, said[file], new, write)]
    tables = sorted(results.glob("*/results.jsonl"))
    for file in _claimed(said):
        drifted += _claims(file, said, load, write)
    for file in tables:
        drifted += _drift_of_table(load(file.parent.name), file, write)
    if RELIABILITY in said:
        drifted += _differences(RELIABILITY, said[RELIABILITY], reliability.markdown(), write)
    _refuse(drifted)
    counted = [f"{file}: {blocks} blocks and {numbers} numbers" for file, (blocks, numbers) in marked.items()]
    return [*counted, f"{results}: {len(tables)} tables"]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInputError(f"{file} is no text in UTF-8") from None
    except OSError as error:
        raise InvalidInputError(f"--readme {file} cannot be read ({error.strerror}); name a text file") from None


def _renewed(file: Path, text: str, load: Load) -> tuple[str, int, int]:
    """A text as the records have it, and how many blocks and numbers it marks."""
    renewed, blocks = _BLOCK.subn(lambda m: m[1] + _BLOCKS[m[2]](load, m[3]) + m[5], text)
    renewed, numbers = NUMBER.subn(partial(quotations.renewed, load), renewed)
    renewed, counts = _VERDICTS.subn(lambda m: f"{_statuses(load, m[3]).count(m[4])}{m[2]}", renewed)
    renewed, ratios = SPEED.subn(speeds.renewed, renewed)
    _refuse_other_comments(file, text)
    return renewed, blocks, numbers + counts + ratios


def _claimed(texts: Iterable[Path]) -> set[Path]:
    """The files of claims that stand beside texts."""
    places = {folder for text in texts for folder in (text.resolve().parent, text.resolve().parent / "docs")}
    return {file for folder in places if (file := folder / "claims.toml").exists()}


def _claims(file: Path, texts: Mapping[Path, str], load: Load, write: bool) -> list[str]:
    """What the records do not bear out, and drift of the table that is made of the claims."""
    claims = statements.listed(file)
    wrong = [*statements.faults(claims, load), *statements.misworded(claims)]
    for page, text in texts.items():
        wrong += [f"{page}, {fault}" for fault in statements.misstatements(text, claims, load, file.parents[1])]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise SeqilError(f"{wrong[0]}{more}")
    table = file.with_suffix(".md")
    before = table.read_text(encoding="utf-8") if table.exists() else ""
    return _differences(table, before, statements.markdown(claims, load), write)


def verify_table(study: Study, file: Path, write: bool = False) -> list[str]:
    """The same of one study's records: whether the `table.md` beside them is what they say.

    Raises:
        InvalidInputError: there are no records of the study.
        SeqilError: the table has drifted.
    """
    found = _sound(study, file).records
    results = Results(study, found if lacking(study) else named_as_now(cells_of(study), found))
    if not results.records:
        raise InvalidInputError(
            f"{file} holds nothing of the study {study.name}; start with `run`, or name another --out"
        )
    _refuse(_drift_of_table(results, file, write))
    return [f"{file.with_name('table.md')}: made of {len(results.records)} runs"]


def _drift_of_table(results: Results, file: Path, write: bool) -> list[str]:
    table = file.with_name("table.md")
    before = table.read_text(encoding="utf-8") if table.exists() else ""
    return _differences(table, before, markdown(results), write)


def _refuse(drifted: list[str]) -> None:
    if drifted:
        raise SeqilError(f"drift: {'; '.join(drifted)}; `verify --write` brings the text up to date")


def _differences(file: Path, before: str, after: str, write: bool) -> list[str]:
    if before == after:
        return []
    if write:
        file.write_text(after, encoding="utf-8")
        return []
    ours, theirs = before.splitlines(), after.splitlines()
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    said, is_now = (lines[at].strip() if at < len(lines) else "nothing" for lines in (ours, theirs))
    return [f"{file}, line {at + 1} says {said!r}, the records {is_now!r}"]


def _load(folder: Path, name: str) -> Results:
    file = folder / name / "results.jsonl"
    if name not in PRESETS or not file.exists():
        raise InvalidInputError(f"there are no records of a study {name!r} ({file})")
    return _sound(PRESETS[name], file)


def _sound(study: Study, file: Path) -> Results:
    """Of all lines of a file; one that is damaged proves nothing."""
    found = results_file.read(file)
    if found.faults:
        raise InvalidInputError(found.faults[0])
    return Results(study, found.records)


def _study(load: Load, name: str) -> str:
    shown = io.StringIO()
    show(load(name), Console(file=shown, width=WIDTH, highlight=False, no_color=True))
    lines = "\n".join(line.rstrip() for line in shown.getvalue().strip("\n").splitlines())
    return f"```\n{lines}\n```\n"


def _table(load: Load, which: str) -> str:
    name, _, task = which.partition("/")
    results = load(name)
    place = next((place for place in results.places if place.name == task), None)
    if place is None:
        raise InvalidInputError(f"the records of {name} hold nothing of a task {task!r}")
    return f"\n{markdown_table(results, place)}\n\n"


_BLOCKS = {"study": _study, "table": _table}


@lru_cache(maxsize=32)
def _statuses(load: Load, name: str) -> list[str]:
    return [verdict.status for verdict in verdicts(load(name))]


def _refuse_other_comments(file: Path, text: str) -> None:
    """A marker that is none would leave its number unverified."""
    known = (NUMBER, _BLOCK, _VERDICTS, SPEED, _DECLARED, statements.MARK, wording.SOURCE)
    spans = [match.span() for pattern in known for match in pattern.finditer(text)]
    for comment in _COMMENT.finditer(text):
        if not any(begin <= comment.start() < end for begin, end in spans):
            line = text.count("\n", 0, comment.start()) + 1
            raise InvalidInputError(
                f"{file}, line {line}: {comment[0].splitlines()[0]} marks no number and no block; write "
                "0.5<!-- study/task/row/metric -->, or <!-- study:NAME --> and <!-- /study --> on lines of their own"
            )
