"""The sections that every page has; those of one study are its own `questions`.

A further one is one more entry of `BEFORE`; a further figure, of `panels.PANELS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..analysis.contrasts import BETTER, FEWEST, WORSE, marks
from ..analysis.results import Results
from ..analysis.tables import about, caption, glossary, table
from ..hypotheses.claims import FAILS, HOLDS, UNDECIDED, verdicts
from ..study import Place, Section, Study
from . import markup, statistics_sections
from .markup import Drawings, escaped, figure, heading, note
from .panels import PANELS

_SHOWN = (FAILS, HOLDS, UNDECIDED)


def main_tables(results: Results, drawings: Drawings) -> str:
    """A table and an overview per task."""
    parts = [note(caption(results))]
    for place in results.places:
        parts += [
            heading(place.name),
            note(about(results, place)),
            markup.table(table(results, place)),
            figure(
                drawings,
                place.name,
                f"Every row on {place.name}: mean, 95 % interval, the seeds one by one, dotted where one run more "
                f"would lie{_marked(results, place)}.",
            ),
            markup.folded("What each number is", markup.table(glossary(results, place))),
        ]
    return "".join(parts)


def _marked(results: Results, place: Place) -> str:
    found = marks(results, place)
    return f"; {BETTER} better and {WORSE} worse than {results.study.rows[0]}" if any(found.values()) else ""


def panels(*names: str) -> Callable[[Results, Drawings], str]:
    """Figures with their notes, and with headings where they are several."""

    def body(results: Results, drawings: Drawings) -> str:
        parts = []
        for name in names:
            if name in drawings:
                panel = PANELS[name]
                parts += [heading(panel.title)] if len(names) > 1 else []
                parts += [figure(drawings, name, f"{panel.title}. {panel.note}")]
        return "".join(parts)

    return body


def growth(results: Results, drawings: Drawings) -> str:
    """Figures over the horizon, then fits."""
    return panels("survival", "hazard", "regret", "slopes")(results, drawings) + statistics_sections.fits(results)


def likelihood(results: Results, drawings: Drawings) -> str:
    """The scatter and the rank correlations."""
    ranks = statistics_sections.likelihood(results)
    return panels("likelihood")(results, drawings) + ranks if ranks else ""


def hypotheses(results: Results, drawings: Drawings) -> str:
    """Statements, verdicts and numbers; empty where the study has none."""
    questions = results.study.questions
    if not questions.hypotheses:
        return ""
    items = []
    for verdict in verdicts(results):
        numbers = "".join(
            f'<li>{escaped(f.place)}: {escaped(f.numbers)} <span class="outcome {f.outcome}">{f.outcome}</span></li>'
            for f in sorted(verdict.findings, key=lambda f: _SHOWN.index(f.outcome))
        )
        more = f"<p class=lacking>No record decides it: it takes {escaped(verdict.lacking)}.</p>"
        if verdict.findings:
            outcomes = [f.outcome for f in verdict.findings]
            count = ", ".join(f"{o} in {outcomes.count(o)}" for o in _SHOWN if o in outcomes)
            more = markup.folded(count, f"<ul>{numbers}</ul>")
        items.append(
            f'<li><span class="badge {verdict.status}">{verdict.status}</span>'
            f"<div><p>{escaped(verdict.statement)}</p>{more}</div></li>"
        )
    return (
        note(
            f"{questions.remark} Findings are one-sided t tests at 5 % over seeds, paired where two rows are compared, "
            "counts where errors are rare, "
            "with Holm's correction over all findings of a hypothesis in either direction; equal is what lies within "
            "10 %, or 0.1 of a slope or a success. Undecided is what the seeds cannot tell, such as fewer than "
            f"{FEWEST}. Intervals are two-sided, of 95 %, without correction."
        )
        + f"<ul class=hypotheses>{''.join(items)}</ul>"
    )


def viewer(results: Results, drawings: Drawings) -> str:
    """The stepper, filled by the script."""
    if not stepped(results):
        return ""
    strips = "".join(
        f'<p class=name>{title} <span></span></p><svg data-of="{name}" preserveAspectRatio=none role=img '
        f'aria-label="{title} at every step"></svg>'
        for name, title in (("backspace", "π(backspace)"), ("value", "V"), ("reward", "implicit reward q − γV′"))
    )
    selects = "".join(
        f'<label>{title}<select id="{name}"></select></label>'
        for name, title in (("task", "Task"), ("agent", "Agent"), ("which", "Text"))
    )
    buttons = "".join(
        f'<button id="{name}" type=button aria-label="{title}">{sign}</button>'
        for name, title, sign in (
            ("begin", "To the start", "⇤"),
            ("back", "One step back", "←"),
            ("forth", "One step on", "→"),
            ("last", "To the end", "⇥"),
        )
    )
    readings = "".join(
        f'<div><dt>{title}</dt><dd id="{name}"></dd></div>'
        for name, title in (
            ("action", "action"),
            ("pop", "π(backspace) before it"),
            ("v", "V before it"),
            ("r", "implicit reward"),
            ("error", "first error"),
        )
    )
    return (
        note(
            "Sampled texts of the first seed, action by action. Deleted tokens are struck out, tokens from the first "
            "error on are underlined, red ground marks steps at which an error stands. Arrow keys step."
        )
        + f'<div id="viewer" tabindex=0 aria-label="Sampled texts step by step; arrow keys step">'
        f'<div class=controls>{selects}<div class=transport>{buttons}<input id="step" type=range min=0 value=0 '
        f'aria-label="Step"><span class=count id="count" aria-live=polite></span></div></div>'
        f'<div class=text id="text"></div><dl class=reading>{readings}</dl>'
        f'<div class=strips>{strips}</div><p class=note id="end"></p></div>'
    )


def samples(results: Results, drawings: Drawings) -> str:
    """The first texts of every row; deleted ones struck out."""
    parts = [note("The same prompts for all, first seed; what was deleted is struck out.")]
    for place in results.places:
        texts = "".join(
            f"<h4>{escaped(name)}</h4>" + "".join(_sample(prompt, spans) for prompt, spans in runs[0]["samples"][:3])
            for name, runs in results.runs(place).items()
        )
        parts.append(markup.folded(place.name, texts))
    return "".join(parts)


BEFORE = (
    Section("tables", "Results", main_tables),
    Section("comparisons", "Compared seed by seed", statistics_sections.comparisons),
    Section("hypotheses", "Hypotheses", hypotheses),
    Section("budget", "Success against actions spent", panels("by_budget")),
    Section("course", "Training curves", panels("course")),
    Section("horizon", "Errors over the horizon", growth),
    Section("backspaces", "What the backspace does", panels("profile", "ever_deleted", "guesses", "cost")),
    Section("entropy", "Entropy drift", panels("entropy")),
    Section("likelihood", "Likelihood against quality", likelihood),
)
AFTER = (
    Section("steps", "Step by step", viewer),
    Section("samples", "Samples", samples),
)


def parts_of(study: Study) -> tuple[Section, ...]:
    """Of its page, its own before the texts."""
    return (*BEFORE, *study.questions.sections, *AFTER)


def stepped(results: Results) -> dict[str, dict[str, list[dict[str, object]]]]:
    """Rollouts of the first seed by task and row, where records hold them."""
    found = {
        place.name: {
            row: runs[0]["trajectories"] for row, runs in results.runs(place).items() if runs[0].get("trajectories")
        }
        for place in results.places
    }
    return {place: rows for place, rows in found.items() if rows}


def _sample(prompt: str, runs: Sequence[tuple[str, bool]]) -> str:
    written = [f"<del>{escaped(text)}</del>" if deleted else escaped(text) for text, deleted in runs]
    old = prompt.replace(" ", "").isdigit() and not any(text.startswith(" ") for text, _ in runs)  # of older records
    separator = " " if old else ""
    return f"<div class=sample><span>{escaped(prompt)}</span>{separator}{separator.join(written)}</div>"
