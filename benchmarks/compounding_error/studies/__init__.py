"""The studies, as data: one file each, and `PRESETS`, all of them by name."""

from ..study import Study
from .agents import AGENTS, CALIBRATION, GAIL, NOISE
from .cpu import CPU, FULL
from .density import DENSITY_STUDY
from .memories.memory_elsewhere import MEMORY_EXPERTS, MEMORY_INJECTION, MEMORY_PLACES, MEMORY_SEARCH, MEMORY_TERM
from .memories.three_memories import MEMORY, MEMORY_LONGER, MEMORY_SEEDS
from .noisy_expert import NOISY_EXPERT
from .quick import QUICK
from .real import REAL
from .referee import REFEREE, REFEREE_SMOKE, REFEREE_TRAINING
from .revise import REVISE
from .revise_longer import REVISE_LONGER
from .scale import SCALE
from .search import CONFIRM, SCARCE, SEARCH

_STUDIES = (
    *(QUICK, AGENTS, GAIL, NOISE, SEARCH, CONFIRM, SCARCE, CPU, FULL),
    *(
        REFEREE,
        REFEREE_TRAINING,
        REFEREE_SMOKE,
        MEMORY,
        MEMORY_LONGER,
        MEMORY_SEEDS,
        MEMORY_PLACES,
        MEMORY_SEARCH,
        MEMORY_EXPERTS,
        MEMORY_INJECTION,
        MEMORY_TERM,
        NOISY_EXPERT,
        SCALE,
        REVISE,
        REVISE_LONGER,
        REAL,
        CALIBRATION,
        DENSITY_STUDY,
    ),
)
PRESETS: dict[str, Study] = {study.name: study for study in _STUDIES}
