"""Tasks: one file each, in folders by what their law is; each is loaded on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers.add_in_base import AddInBase as AddInBase
    from .answers.chain import Chain as Chain
    from .answers.chains import Chains as Chains
    from .answers.countdown import Countdown as Countdown
    from .answers.long_addition import LongAddition as LongAddition
    from .answers.multiplication import Multiplication as Multiplication
    from .answers.star import Star as Star
    from .answers.sudoku4 import Sudoku4 as Sudoku4
    from .corpora.pydoc import PyDoc as PyDoc
    from .corpora.pydoc_kn import PyDocKN as PyDocKN
    from .corpora.text import Text as Text
    from .grammars.dyck import Dyck as Dyck
    from .grammars.pcfg import PCFG as PCFG
    from .grammars.potentials import Potentials as Potentials
    from .grammars.scan import Scan as Scan
    from .markov.automaton import Automaton as Automaton
    from .markov.graph_walk import GraphWalk as GraphWalk
    from .markov.hmm import HMM as HMM
    from .markov.learned_automaton import LearnedAutomaton as LearnedAutomaton
    from .markov.ngram import NGram as NGram

_HOME = {
    "AddInBase": "answers.add_in_base",
    "Automaton": "markov.automaton",
    "Chain": "answers.chain",
    "Chains": "answers.chains",
    "Countdown": "answers.countdown",
    "Dyck": "grammars.dyck",
    "GraphWalk": "markov.graph_walk",
    "HMM": "markov.hmm",
    "LearnedAutomaton": "markov.learned_automaton",
    "LongAddition": "answers.long_addition",
    "Multiplication": "answers.multiplication",
    "NGram": "markov.ngram",
    "PCFG": "grammars.pcfg",
    "Potentials": "grammars.potentials",
    "PyDoc": "corpora.pydoc",
    "PyDocKN": "corpora.pydoc_kn",
    "Scan": "grammars.scan",
    "Star": "answers.star",
    "Sudoku4": "answers.sudoku4",
    "Text": "corpora.text",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
