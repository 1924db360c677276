"""The page of a study and its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqil.durable import write_asked
from seqil.errors import counted
from seqil.runs import strict_json

from ..analysis.results import Results
from ..analysis.tables import markdown, opening
from . import figures
from .markup import Drawings, escaped
from .panels import INK
from .sections import parts_of, stepped

_PAGE = Path(__file__).parent
_GLYPHS = dict(zip(figures.MARKERS, "●■▲◆▼✚", strict=True))


def page(results: Results, drawings: Drawings) -> str:
    """One self-contained HTML page: it loads nothing."""
    made = [(section, section.body(results, drawings)) for section in parts_of(results.study)]
    made = [(section, body) for section, body in made if body]
    version = results.records[0]["versions"]
    slots = {
        "title": escaped(results.study.question),
        "study": escaped(results.study.name),
        "answer": "".join(f"<p class=answer>{escaped(sentence)}</p>" for sentence in opening(results)),
        "lead": "All agents of a task are trained at equal cost in forward positions, a trained position counted three "
        "times; noise and rollouts are counted. Sampled at temperature 1 where a row does not say otherwise.",
        "nav": "".join(f'<a href="#{section.anchor}">{section.title}</a>' for section, _ in made),
        "legend": _legend(results),
        "sections": "".join(
            f'<section id="{section.anchor}"><h2>{section.title}</h2>{body}</section>' for section, body in made
        ),
        "footer": escaped(
            f"{counted(len(results.records), 'run')}. seqil {version['seqil']}, torch {version['torch']}, "
            f"transformers {version['transformers']}. Everything here is made from results.jsonl."
        ),
        "data": _embedded({"trajectories": stepped(results)}),
        "style": (_PAGE / "page.css").read_text(encoding="utf-8"),
        "script": (_PAGE / "page.js").read_text(encoding="utf-8"),
    }
    parts = (_PAGE / "page.html").read_text(encoding="utf-8").split("{{")
    return parts[0] + "".join(slots[name] + rest for name, _, rest in (part.partition("}}") for part in parts[1:]))


def write(results: Results, folder: Path) -> list[Path]:
    """The page, the tables as Markdown, and each figure as PNG and SVG."""
    drawn = figures.drawn(results)
    own = {name: make() for section in results.study.questions.sections for name, make in section.figures.items()}
    written = [folder / "report.html", folder / "table.md"]
    write_asked(
        written[0], page(results, {name: figures.inlined(name, whole) for name, whole in (drawn | own).items()})
    )
    write_asked(written[1], markdown(results))
    return written + figures.write(drawn, results, folder)


def _embedded(value: Any) -> str:
    """JSON that may stand in a script element."""
    return strict_json.dumps(value).replace("<", "\\u003c")


def _legend(results: Results) -> str:
    buttons = []
    for row, style in figures.styles(results).items():
        dashes = "" if style.dashes == "-" else f' stroke-dasharray="{" ".join(str(1.6 * x) for x in style.dashes[1])}"'
        colour = "currentColor" if style.colour == INK else style.colour
        buttons.append(
            f'<button type=button aria-pressed=false data-of="{style.row}"><svg viewBox="0 0 26 8" aria-hidden=true>'
            f'<line x1=0 y1=4 x2=26 y2=4 stroke="{colour}" stroke-width=2.4{dashes} /></svg>'
            f'<i style="color:{colour}" aria-hidden=true>{_GLYPHS[style.marker]}</i>{escaped(row)}</button>'
        )
    return "".join(buttons)
