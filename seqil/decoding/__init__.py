"""Decoding rules: a law goes in, a law comes out."""

from .constrained.automata import Automaton
from .constrained.constraints import Standing
from .interface import Policy, Rule, Warp
from .named_rules import NamedRule
from .rules import (
    RULES,
    backspace_bias,
    ban,
    contrastive_search,
    grammar,
    loop_guard,
    min_p,
    processor,
    restart,
    tabu,
    top_k,
    top_p,
)
from .walking import Values, after_every_token, judged_walk, value_walk
from .written import parse

__all__ = [
    "RULES",
    "Automaton",
    "NamedRule",
    "Policy",
    "Rule",
    "Standing",
    "Values",
    "Warp",
    "after_every_token",
    "backspace_bias",
    "ban",
    "contrastive_search",
    "grammar",
    "judged_walk",
    "loop_guard",
    "min_p",
    "parse",
    "processor",
    "restart",
    "tabu",
    "top_k",
    "top_p",
    "value_walk",
]
