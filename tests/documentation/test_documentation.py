"""What is public says what it is, and of which types it is made."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [file for package in ("seqil", "envs", "agents") for file in sorted((ROOT / package).rglob("*.py"))]
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)


def public(node, path=()):
    """Modules, classes, functions and methods whose names do not begin with `_`, with where they stand."""
    yield path, node
    for child in node.body:
        if isinstance(child, (ast.ClassDef, *Functions)) and not child.name.startswith("_"):
            if isinstance(child, ast.ClassDef):
                yield from public(child, (*path, child.name))
            else:
                yield (*path, child.name), child


def constructors(node):
    for child in ast.walk(node):
        if isinstance(child, ast.ClassDef):
            yield from ((child.name, x) for x in child.body if isinstance(x, Functions) and x.name == "__init__")


def unannotated(function, method):
    a = function.args
    named = [*a.posonlyargs, *a.args][method and not any_static(function) :] + a.kwonlyargs
    named += [x for x in (a.vararg, a.kwarg) if x]
    return [x.arg for x in named if x.annotation is None] + ["return"] * (function.returns is None)


def any_static(function):
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)


def overloaded(function):
    """A setter or an overload, which the first of its name explains."""
    return any(ast.unparse(d).endswith((".setter", "overload")) for d in function.decorator_list)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_all_that_is_public_is_documented_and_annotated(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for path, node in public(tree):
        name = ".".join(path) or "the module"
        if not isinstance(node, Functions) or not overloaded(node):
            assert ast.get_docstring(node), f"{name} has no docstring"
        if isinstance(node, Functions):
            missing = unannotated(node, method=len(path) > 1)
            assert not missing, f"{name} does not annotate {', '.join(missing)}"
    for name, node in constructors(tree):
        missing = unannotated(node, method=True)
        assert not missing, f"{name}.__init__ does not annotate {', '.join(missing)}"
