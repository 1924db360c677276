"""Imports go one way: benchmarks and tests -> agents, envs -> seqil."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN = {"seqil": {"agents", "envs", "benchmarks", "gymnasium"}, "agents": {"envs", "benchmarks", "gymnasium"},
             "envs": {"agents", "benchmarks"}}  # fmt: skip
PROVES_ENVIRONMENTS = ROOT / "seqil" / "testing" / "envs.py"


def imported(file: Path) -> set:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module and not n.level}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        allowed = {"gymnasium"} if file == PROVES_ENVIRONMENTS else set()
        assert not imported(file) & (FORBIDDEN[package] - allowed), file


@pytest.mark.parametrize("package", [*FORBIDDEN, "benchmarks"])
def test_imports_within_a_package_are_relative(package):
    for file in sorted((ROOT / package).rglob("*.py")):
        assert package not in imported(file), file


def test_every_package_is_shipped():
    listed = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in FORBIDDEN:
        assert f'"{package}"' in listed
