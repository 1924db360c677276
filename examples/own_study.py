"""A study of one's own: is focal cloning better than cloning? Seconds on one core; its page is made by

    python -m benchmarks.compounding_error run --study examples/own_study.py --out runs/focal

and `status`, `table`, `report` and `verify` take the same two options.
"""

from benchmarks.compounding_error.study import Arm, Decoding, Place, Study
from examples.new_agent import FocalCloning

AUTOMATON = Place(
    "automaton",
    {"task": "automaton", "task_options": {"horizon": 8}, "demonstrations": 2000, "width": 32, "learning_rate": 2e-2},
    budget=3e5,
    samples=200,
)
CLONING = Arm("cloning", {"agent": "bc"}, (Decoding("tabu", ("tabu",)),))
FOCAL = Arm("focal cloning", {"agent": FocalCloning, "agent_options": {"focus": 0.5}})
STUDY = Study("focal", "Is focal cloning better than cloning?", (CLONING, FOCAL), (AUTOMATON,), seeds=3)
