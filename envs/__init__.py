"""Gymnasium and TorchRL faces of the prefix MDP, and the tasks.

Importing this package registers `seqil/TextGeneration-v0`, so that `gymnasium.make("envs:seqil/TextGeneration-v0", …)`
and `gymnasium.make_vec` find it; the environments themselves are loaded on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

if TYPE_CHECKING:
    from .text_generation import TextGenerationEnv as TextGenerationEnv
    from .torchrl import TorchTextGenerationEnv as TorchTextGenerationEnv
    from .vector import TextGenerationVectorEnv as TextGenerationVectorEnv

_HOME = {
    "TextGenerationEnv": "text_generation",
    "TextGenerationVectorEnv": "vector",
    "TorchTextGenerationEnv": "torchrl",
}

__all__ = [*_HOME]

register(
    id="seqil/TextGeneration-v0",
    entry_point=f"{__name__}.text_generation:TextGenerationEnv",
    vector_entry_point=f"{__name__}.vector:TextGenerationVectorEnv",
)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
