"""A hook of mkdocs: the pages of the reference, and where each source file is told of.

Nothing is written by hand: what `seqil.__all__`, `envs.__all__`, `envs.tasks.__all__` and the entry points of
`pyproject.toml` name is what there is, and each of it stands on one page.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ("revision",)  # packages of `seqil` that are public and no name of `seqil` itself
FOLDER, INDEX, NAMES = "reference/", "reference/index.md", "reference/names.md"


@dataclass(frozen=True)
class Page:
    """One page: what is said at its top, and the objects below each heading; an empty heading is none."""

    title: str
    about: str
    sections: dict[str, list[Any]]
    sources: list[ModuleType] = field(default_factory=list)

    def objects(self) -> Iterator[Any]:
        """All of them, in order."""
        for found in self.sections.values():
            yield from found

    def markdown(self) -> str:
        """As the builder of the site reads it."""
        parts = [f"# {self.title}", self.about]
        for heading, found in self.sections.items():
            parts += [f"## {heading}"] if heading else []
            parts += [_block(one, 3 if heading else 2) for one in found]
        return "\n\n".join(filter(None, parts)) + "\n"


def _block(value: Any, level: int) -> str:
    options = {"heading_level": level, "heading": imported_as(value), "toc_label": value.__name__}
    return "\n".join([f"::: {place(value)}", "    options:", *(f"      {key}: {one}" for key, one in options.items())])


@lru_cache(maxsize=1)
def contents() -> dict[str, Page]:
    """All pages but the index, by path, in the order of the navigation."""
    found = {
        "reference/envs.md": _environments(),
        "reference/tasks.md": _tasks(),
        "reference/parts_of_tasks.md": _parts_of_tasks(),
        "reference/agents.md": _agents(),
    }
    modules = {path: page for path, page in _modules().items() if any(page.objects())}
    held = {id(one) for page in modules.values() for one in page.objects()}
    others = [value for value in _public().values() if not isinstance(value, ModuleType) and id(value) not in held]
    about = "What `seqil` exports and none of the modules beside this page holds."
    return {**found, NAMES: Page("Names of `seqil`", about, {"": others}), **modules}


def _environments() -> Page:
    envs, wrappers = _loaded("envs"), _loaded("envs.wrappers")
    faces = [getattr(envs, name) for name in envs.__all__]
    sections = {"Environments": faces, "Wrappers": _members(wrappers)}
    return Page("Environments", inspect.getdoc(envs) or "", sections, [envs, wrappers])


def _tasks() -> Page:
    sections = {f"`{name}`": [one] for name, one in _registered("tasks").items()}
    about = "Tasks by id; `from envs.tasks import Chain` finds a class, `--task chain` an id.\n\n"
    return Page("Tasks", about + _table(_registered("tasks"), "tasks.md"), sections, [_loaded("envs.tasks")])


def _parts_of_tasks() -> Page:
    base = _loaded("envs.tasks.base")
    parts = [_loaded(f"envs.tasks.base.{name}") for name in ("markov", "counters")]
    shared = [one for one in _members(base) if one.__module__.startswith("envs.")]
    sections = {"": shared, **{f"`{part.__name__}`": _members(part) for part in parts}}
    return Page("Parts of tasks", inspect.getdoc(base) or "", sections, [base, *parts])


def _agents() -> Page:
    agents = _registered("agents")
    told = {id(one) for one in agents.values()}
    sections: dict[str, list[Any]] = {}
    for name, module in _written("agents").items():
        parts = [one for part in _parts(_loaded(module[0])) for one in _members(part)]
        beside = list({id(one): one for one in parts if id(one) not in told}.values())
        told |= {id(one) for one in beside}
        sections[f"`{name}`"] = [agents[name], *beside]
    about = "Agents by id, each with its loss and what that is made of.\n\n"
    return Page("Agents", about + _table(agents, "agents.md"), sections, [_loaded("agents")])


def _modules() -> dict[str, Page]:
    """Pages of the public modules; a thing is on the page of the innermost module that has it."""
    modules = _public_modules()
    members = {name: _members(module) for name, module in modules.items()}
    told: set[int] = set()
    for name in sorted(modules, key=lambda one: -modules[one].__name__.count(".")):
        members[name] = [one for one in members[name] if id(one) not in told]
        told |= {id(one) for one in members[name]}
    return {
        f"{FOLDER}{name}.md": Page(f"`seqil.{name}`", inspect.getdoc(module) or "", {"": members[name]}, [module])
        for name, module in modules.items()
    }


def pages() -> dict[str, str]:
    """Markdown by path."""
    return {INDEX: _index(), **{path: page.markdown() for path, page in contents().items()}}


def _index() -> str:
    within = {path.removeprefix(FOLDER): page for path, page in contents().items()}
    rows = [f"| [{page.title}]({path}) | {_first(page.about)} |" for path, page in within.items()]
    at = {id(one): path for path, page in within.items() for one in page.objects()}
    names = [
        f"| [`{name}`]({at[id(one)]}#{place(one)}) | {_summary(one)} |"
        for name, one in _public().items()
        if not isinstance(one, ModuleType)
    ]
    head = "# Reference\n\nMade from the docstrings of what is public.\n\n| page | what it holds |\n|---|---|"
    return "\n".join([head, *rows, "\n## All names of `seqil`\n\n| name | what it is |\n|---|---|", *names, ""])


def _table(registered: dict[str, Any], path: str) -> str:
    rows = [
        f"| `{key}` | [`{one.__name__}`]({path}#{place(one)}) | {_summary(one)} |" for key, one in registered.items()
    ]
    return "\n".join(["| id | class | what it is |", "|---|---|---|", *rows])


def _summary(value: Any) -> str:
    return _first(inspect.getdoc(value) or "")


def _first(text: str) -> str:
    """The first paragraph, fit for the cell of a table."""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", r"\|")


def navigation() -> list[Any]:
    """What the navigation holds below `Reference`."""
    titles = {path: page.title.replace("`", "") for path, page in contents().items()}
    inner = [{title: path} for path, title in titles.items() if title.startswith("seqil.")]
    outer = [{title: path} for path, title in titles.items() if not title.startswith("seqil.")]
    return [INDEX, *outer, {"Modules of seqil": inner}]


@lru_cache(maxsize=1)
def sources() -> dict[str, str]:
    """Where on the site each source file is told of, by its path in the repository: a page, or a place on one."""
    found = {"seqil/__init__.py": INDEX}
    for path, page in contents().items():
        found |= {_file(module): path for module in page.sources if _file(module) not in found}
    for path, page in contents().items():
        for one in page.objects():
            found.setdefault(_file(one), f"{path}#{place(one)}")
    return found


def _file(value: Any) -> str:
    module = value if isinstance(value, ModuleType) else _loaded(value.__module__)
    return Path(str(module.__file__)).resolve().relative_to(ROOT).as_posix()


def _public() -> dict[str, Any]:
    seqil = _loaded("seqil")
    return {name: getattr(seqil, name) for name in sorted(seqil.__all__)}


def _public_modules() -> dict[str, ModuleType]:
    named = {name: value for name, value in _public().items() if isinstance(value, ModuleType)}
    return dict(sorted((named | {name: _loaded(f"seqil.{name}") for name in BESIDE}).items()))


def _registered(kind: str) -> dict[str, Any]:
    """Classes of this distribution by id."""
    return {key: getattr(_loaded(module), name) for key, (module, name) in _written(kind).items()}


def _written(kind: str) -> dict[str, list[str]]:
    """Module and name by id, as `pyproject.toml` has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {key: value.split(":") for key, value in sorted(project["entry-points"][f"seqil.{kind}"].items())}


def _loaded(name: str) -> ModuleType:
    return importlib.import_module(name)


def _parts(module: ModuleType) -> list[ModuleType]:
    """The module, and those of its folder if it is one."""
    folder = getattr(module, "__path__", [])
    return [module, *(_loaded(f"{module.__name__}.{found.name}") for found in pkgutil.iter_modules(folder))]


def _members(module: ModuleType) -> list[Any]:
    """The public functions and classes of a module, re-exported ones of its parts included."""
    named: Iterable[str] = getattr(module, "__all__", None) or [name for name in vars(module) if name[0] != "_"]
    values = [getattr(module, name) for name in named]
    defined = [value for value in values if inspect.isclass(value) or inspect.isfunction(value)]
    return [one for one in defined if f"{one.__module__}.".startswith(f"{module.__name__}.")]


def place(value: Any) -> str:
    """Where it is defined, which is its anchor."""
    return f"{value.__module__}.{value.__qualname__}"


def imported_as(value: Any) -> str:
    """The shortest path that it is public under."""
    return _short_paths().get(id(value), place(value))


@lru_cache(maxsize=1)
def _short_paths() -> dict[int, str]:
    inner = {
        id(one): f"seqil.{name}.{one.__name__}" for name, part in _public_modules().items() for one in _members(part)
    }
    packages = [_loaded(name) for name in ("seqil", "envs", "envs.tasks")]
    return inner | {id(getattr(one, name)): f"{one.__name__}.{name}" for one in packages for name in one.__all__}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation, where it names their folder."""
    for entry in config.nav or []:
        if isinstance(entry, dict):
            entry.update({title: navigation() for title, found in entry.items() if found == FOLDER})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    from mkdocs.structure.files import File

    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    return files
