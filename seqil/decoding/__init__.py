"""Decoding rules: a law goes in, a law comes out."""

from .rules import (
    RULES,
    NamedRule,
    Rule,
    Warp,
    backspace_bias,
    contrastive_search,
    loop_guard,
    min_p,
    parse,
    restart,
    tabu,
    top_k,
    top_p,
)

__all__ = [
    "RULES",
    "NamedRule",
    "Rule",
    "Warp",
    "backspace_bias",
    "contrastive_search",
    "loop_guard",
    "min_p",
    "parse",
    "restart",
    "tabu",
    "top_k",
    "top_p",
]
