"""Gymnasium and TorchRL faces of the prefix MDP, and the tasks.

Importing this package registers `seqil/TextGeneration-v0` and `seqil/TextRevision-v0`, so that
`gymnasium.make("envs:seqil/TextGeneration-v0", …)` and `gymnasium.make_vec` find them; the environments themselves are
loaded on first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

if TYPE_CHECKING:
    from .text_generation import TextGenerationEnv as TextGenerationEnv
    from .text_revision import TextRevisionEnv as TextRevisionEnv
    from .torchrl import TorchTextGenerationEnv as TorchTextGenerationEnv
    from .torchrl import TorchTextRevisionEnv as TorchTextRevisionEnv
    from .vector import TextGenerationVectorEnv as TextGenerationVectorEnv
    from .vector import TextRevisionVectorEnv as TextRevisionVectorEnv

_HOME = {
    "TextGenerationEnv": "text_generation",
    "TextGenerationVectorEnv": "vector",
    "TextRevisionEnv": "text_revision",
    "TextRevisionVectorEnv": "vector",
    "TorchTextGenerationEnv": "torchrl",
    "TorchTextRevisionEnv": "torchrl",
}

__all__ = [*_HOME]

for _name, _module in (("TextGeneration", "text_generation"), ("TextRevision", "text_revision")):
    register(
        id=f"seqil/{_name}-v0",
        entry_point=f"{__name__}.{_module}:{_name}Env",
        vector_entry_point=f"{__name__}.vector:{_name}VectorEnv",
    )


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
