"""The tree is the architecture: imports run down one list per package, and between packages one way."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"seqil": {"agents", "envs", "benchmarks", "gymnasium"}, "agents": {"envs", "benchmarks", "gymnasium"},
             "envs": {"agents", "benchmarks"}}  # fmt: skip
PROVES_ENVIRONMENTS = ROOT / "seqil" / "testing" / "envs.py"

MOST_FLOORS = 8
# Floors from the top down; folders and files of one floor do not know each other.
DIRECTIONS = {
    "seqil": (
        {"__main__"},
        {"cli", "testing"},
        {"runs", "integrations"},
        {"learning", "selection", "drawing"},
        {"metrics", "rollouts", "revision"},
        {"theory", "decoding", "policy"},
        {"models", "statistics", "mdp", "capacity", "durable"},
        {"errors", "randomness"},
    ),
    "benchmarks/compounding_error": (
        {"__main__"},
        {"verification"},
        {"studies"},  # each names its questions, so they stand on what answers them
        {"page"},
        {"hypotheses", "prose"},
        {"analysis"},
        {"running"},
        {"study"},
    ),
    "envs": (
        {"wrappers"},
        {"torchrl", "vector"},
        {"text_revision", "torch_episodes"},
        {"text_generation", "transitions", "revisions"},
        {"episodes", "frames"},
        {"constructors"},
        {"tasks"},
    ),
    "envs/tasks": (
        {"answers", "corpora", "grammars", "markov"},
        {"base"},
    ),
}


def imported(file: Path) -> set:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {name.partition(".")[0] for name in names}


def arrows(package: str) -> set:
    """What imports what inside a package, by its folders and files."""
    root, found = ROOT / package, set()
    for file in root.rglob("*.py"):
        place = file.relative_to(root).with_suffix("").parts
        if place == ("__init__",):  # the public names
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = place[: len(place) - node.level] if node.level <= len(place) else None
                if base is None:
                    continue
                targets = [(*base, *node.module.split("."))] if node.module else [(*base, a.name) for a in node.names]
                found |= {(place[0], target[0]) for target in targets if target[0] != place[0]}
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_between_packages_go_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        allowed = {"gymnasium"} if file == PROVES_ENVIRONMENTS else set()
        assert not imported(file) & (FORBIDDEN[package] - allowed), file


@pytest.mark.parametrize("package", [*FORBIDDEN, "benchmarks"])
def test_imports_within_a_package_are_relative(package):
    for file in sorted((ROOT / package).rglob("*.py")):
        assert package not in imported(file), file


@pytest.mark.parametrize("package", DIRECTIONS)
def test_imports_within_a_package_run_down(package):
    assert len(DIRECTIONS[package]) <= MOST_FLOORS
    floor = {name: at for at, names in enumerate(DIRECTIONS[package]) for name in names}
    there = {path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or list(path.glob("*.py"))}
    assert there - {"__init__", "data", "__pycache__"} == set(floor)
    found = arrows(package)
    assert found
    assert not {(a, b) for a, b in found if floor[a] >= floor[b]}


def within(folder):
    """What imports what at the level of modules, of the files of a folder; imports of type checkers count."""
    stems = {file.stem for file in folder.glob("*.py")}
    found = {}
    for file in sorted(folder.glob("*.py")):
        nodes = [n for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.ImportFrom)]
        named = {n.module.split(".")[0] for n in nodes if n.level == 1 and n.module}
        named |= {alias.name for n in nodes if n.level == 1 and not n.module for alias in n.names}
        found[file.stem] = named & stems - {file.stem}
    return found


@pytest.mark.parametrize("package", ["seqil", "envs", "agents", "benchmarks"])
def test_files_of_a_folder_do_not_import_in_circles(package):
    for folder in {file.parent for file in (ROOT / package).rglob("*.py")}:
        left = within(folder)
        while free := {file for file, needs in left.items() if not needs & left.keys()}:
            left = {file: needs for file, needs in left.items() if file not in free}
        assert not left, folder


@pytest.mark.parametrize("package", ["seqil", "envs", "agents", "benchmarks"])
def test_no_module_has_the_name_of_what_it_defines(package):
    for file in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert file.stem not in defined, file


def test_no_two_modules_share_a_name():
    named_like_what_they_are_about = {"studies", "sections"}
    places = {}
    for package in ("seqil", "envs", "agents", "benchmarks"):
        for file in sorted((ROOT / package).rglob("*.py")):
            if file.stem not in ("__init__", "__main__") and file.parent.name not in named_like_what_they_are_about:
                places.setdefault(file.stem, []).append(str(file.relative_to(ROOT)))
    assert places
    assert not [files for files in places.values() if len(files) > 1]


@pytest.mark.parametrize("package", ["seqil", "envs", "agents", "benchmarks", "tests", "docs"])
def test_files_and_folders_are_of_a_size_to_read(package):
    folders = {file.parent for file in (ROOT / package).rglob("*.py")}
    assert folders
    for folder in folders | {ROOT / package}:
        files = [path for path in folder.iterdir() if path.is_file() and path.suffix != ".pyc"]
        assert len(files) <= 12, folder
        for file in folder.glob("*.py"):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 350, file


def test_every_public_name_is_there_and_documented():
    import seqil

    for name in seqil.__all__:
        assert inspect.getdoc(getattr(seqil, name)), name
    assert import_module("seqil").__all__ == seqil.__all__


def test_every_package_is_shipped():
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in FORBIDDEN:
        assert f'"{package}"' in listed
