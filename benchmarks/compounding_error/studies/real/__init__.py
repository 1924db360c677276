"""A pretrained language model fine-tuned on real text, with and without a backspace, whole and by LoRA.

`python -m benchmarks.compounding_error.studies.real` writes the model and the text; `make study-real` does all. No law
is known here: a text is judged by its bits per byte under the model, by MAUVE on hidden states of the model that all
arms begin from, and by a reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...analysis.results import Results
from ...hypotheses.over_controls import wins
from ...page.markup import Drawings, escaped, heading, note
from ...running.records import Record
from ...study import Arm, Decoding, Place, Questions, Section, Study
from ..base.parts import MASKED, MIN_P, MLE, SEQUENCE_MATCH

FOLDER, TEXT = "runs/smollm2", "docstrings.jsonl"
"""Where the model is, and the text beside it."""
SHOWN = 20
_AROUND = 60
BIAS = Decoding("bias 2", ("backspace_bias=2",))
DOCSTRINGS = Place(
    "docstrings",
    {
        **{"task": "text", "task_options": {"path": f"{FOLDER}/{TEXT}", "prompt_length": 16, "max_length": 32}},
        **{"model": FOLDER, "dtype": "bfloat16", "learning_rate": 1e-4, "batch_size": 8, "sampling_rows": 8},
    },
    budget=1.2e5,
    samples=200,
    error="not defined",
    metrics=("bits_per_byte", "mauve_hidden"),
    pilot=8,
    needs=(f"{FOLDER}/{TEXT}", "python -m benchmarks.compounding_error.studies.real writes it"),
)
_LORA = {"lora": 8, "learning_rate": 3e-3}
_NOTHING = 1e-12
"""A rate at which nothing is learned, whatever a run costs."""

START = Arm("as it comes", {**MLE.settings, "learning_rate": _NOTHING}, (MIN_P,), share=0.01)
PLAIN = Arm("fine-tuned", MLE.settings, (MIN_P,))
CLONING = Arm("BC + backspace", MASKED.settings, (MIN_P, BIAS))
MATCHING = Arm("SequenceMatch", SEQUENCE_MATCH.settings, (MIN_P, BIAS))


def _by_lora(arm: Arm) -> Arm:
    return replace(arm, name=f"{arm.name}, LoRA", settings={**arm.settings, **_LORA}, decodings=(MIN_P,))


ARMS = (PLAIN, CLONING, MATCHING, *map(_by_lora, (PLAIN, CLONING, MATCHING)), START)


def deletions(records: list[Record]) -> Iterator[tuple[str, str, str]]:
    """What stood before a deletion, what was deleted, and what follows, in the order of records and their texts.

    Deletions side by side are one.
    """
    for record in records:
        for prompt, spans in record["samples"]:
            for at, (text, deleted) in enumerate(spans):
                if deleted:
                    before, after = (
                        "".join(t for t, gone in part if not gone) for part in (spans[:at], spans[at + 1 :])
                    )
                    yield (prompt + before)[-_AROUND:], text, after[:_AROUND]


def for_a_reader(results: Results, drawings: Drawings) -> str:
    """The first deletions of every row that deletes, twenty at most."""
    parts = []
    for place in results.places:
        for row, runs in results.runs(place).items():
            found = list(deletions(sorted(runs, key=lambda run: int(run["seed"]))))[:SHOWN]
            lines = "".join(
                f"<li><div class=sample>{escaped(before)}<del>{escaped(gone)}</del>{escaped(after)}</div></li>"
                for before, gone, after in found
            )
            parts += [heading(row), f"<ol>{lines}</ol>"] if found else []
    text = f"The first {SHOWN} at most of the texts that records show, in their order; what is struck out was deleted."
    return note(text) + "".join(parts) if parts else ""


REAL = Study(
    "real",
    "What does a backspace give a pretrained model that is fine-tuned on real text?",
    ARMS,
    (DOCSTRINGS,),
    3,
    Questions(
        (
            wins(PLAIN.name, START.name, "bits_per_byte", "the same model, not fine-tuned"),
            *(
                wins(row, PLAIN.name, "mauve_hidden", "no backspace, the same cost")
                for row in (CLONING.name, MATCHING.name)
            ),
            *(
                wins(MATCHING.name, CLONING.name, metric, "a backspace, and no occupancies matched")
                for metric in ("mauve_hidden", "bits_per_byte")
            ),
            wins(PLAIN.name, f"{PLAIN.name}, LoRA", "bits_per_byte", "adapters of rank 8"),
        ),
        "Written down after a look at learning rates by the bits of validation texts, 60 updates and one seed each. "
        "Two more, about rep-4, were left out afterwards: there is no comparison of it.",
        (Section("deletions", "Deletions, for a reader's eye", for_a_reader),),
    ),
)
