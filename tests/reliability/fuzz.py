"""One target under atheris: `python tests/reliability/fuzz.py settings-json -runs=100000`; without a name all are.

What it comes by on the way stays in a folder of its own; what is worth keeping goes into `corpus`, for the suite.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(Path(__file__).resolve().parent)]

from harness.fuzzing import CORPUS, TARGETS  # noqa: E402


def main():
    """Run it until it finds something, or as long as the options of libFuzzer say."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name a target: {', '.join(TARGETS)}")
    try:
        import atheris
    except ImportError:
        sys.exit("fuzzing is guided by atheris; pip install -c constraints.txt -e '.[fuzz]'")
    name = sys.argv.pop(1)
    folder = tempfile.mkdtemp()
    with atheris.instrument_imports(include=["seqil", "envs"]):
        for module in ("seqil.cli.commands", "seqil.runs.results_file", "envs.tasks.corpora.text"):
            import_module(module)

    def one(content):
        TARGETS[name].feed(content, folder)

    atheris.Setup([*sys.argv, tempfile.mkdtemp(), str(CORPUS / name)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
