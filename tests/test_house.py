"""The package as a building: its rooms, what they may import, its names, and the picture in CONTRIBUTING."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "in9"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf8")) for path in MODULES}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
CORE = ("variants", "recipe", "loop", "predictions", "estimates", "study")
"""The six files that README tells a newcomer to read, in this order."""


def layers() -> list[list[str]]:
    """The rooms of the contract, from the top down; those of a floor stand side by side."""
    (contract,) = (one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    return [floor.split(" | ") for floor in contract["layers"]]


def test_the_rooms_are_those_of_the_contract() -> None:
    there = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    there |= {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert there == {room for floor in layers() for room in floor}


def test_contributing_draws_the_contract() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")
    picture = re.search(r"```text\n(.*?)```", text, re.S)
    assert picture, "CONTRIBUTING.md has no picture of the rooms"
    drawn = [re.findall(r"^[\w, ]+?(?=  |$)", line)[0].split(", ") for line in picture[1].splitlines()]
    assert drawn == layers()


def test_a_forbidden_import_is_found_and_named(tmp_path: Path) -> None:
    """A copy of the package in which a room below imports one above."""
    copy = tmp_path / "in9"
    for path in PACKAGE.rglob("*.py"):
        target = copy / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text(encoding="utf8"), encoding="utf8")
    target = copy / "data" / "variants.py"
    target.write_text(target.read_text(encoding="utf8") + "\nfrom in9.study.study import Study  # noqa\n", "utf8")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf8"), "utf8")
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-logo", "--no-cache"], cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": "."}
    )
    assert done.returncode == 1
    assert "Rooms import downward only BROKEN" in done.stdout
    assert "in9.data.variants -> in9.study.study" in done.stdout


@pytest.mark.parametrize(
    "room", [path.parent for path in MODULES if path.name == "__init__.py"], ids=lambda one: one.name
)
def test_a_room_says_what_lives_there(room: Path) -> None:
    text = ast.get_docstring(TREES[room / "__init__.py"])
    assert text is not None and len(text) > 60


def test_no_two_modules_share_a_name() -> None:
    counts = Counter(path.stem for path in MODULES if path.name != "__init__.py")
    assert [name for name, count in counts.items() if count > 1] == []


def test_no_two_classes_or_constants_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for path, tree in TREES.items():
        for node in tree.body:
            names: list[str] = []
            if isinstance(node, ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found = (part for target in targets for part in ast.walk(target))
                names = [part.id for part in found if isinstance(part, ast.Name) and part.id.isupper()]
            for name in (name for name in dict.fromkeys(names) if not name.startswith("_")):
                places.setdefault(name, []).append(path.relative_to(PACKAGE).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_nothing_is_imported_by_string_but_the_public_names() -> None:
    calls = [
        path.relative_to(PACKAGE).as_posix()
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func)
    ]
    assert calls == ["__init__.py"]


def test_no_module_of_the_package_does_work_in_an_assert() -> None:
    for path, tree in TREES.items():
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Assert)):
            works = isinstance(node.test, ast.Attribute) or any(
                isinstance(part, ast.Call) for part in ast.walk(node.test)
            )
            assert not works, f"{path.relative_to(PACKAGE)}:{node.lineno} vanishes under python -O"


def test_every_third_party_import_is_declared() -> None:
    declared = PYPROJECT["project"]["dependencies"] + [
        requirement
        for name, extra in PYPROJECT["project"]["optional-dependencies"].items()
        if name != "dev"
        for requirement in extra
    ]
    names = {re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-") for requirement in declared}  # type: ignore[index]
    homes = importlib.metadata.packages_distributions()
    missing = set()
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported = [node.module or ""]
            else:
                continue
            for module in {name.partition(".")[0] for name in imported}:
                if module in sys.stdlib_module_names or module == "in9":
                    continue
                if not {home.lower().replace("_", "-") for home in homes.get(module, [])} & names:
                    missing.add(f"{module} in {path.relative_to(PACKAGE)}")
    assert missing == set()


def test_files_are_short_and_the_core_is_read_in_an_evening() -> None:
    lines = {path: len(path.read_text(encoding="utf8").splitlines()) for path in MODULES}
    assert [path.relative_to(PACKAGE).as_posix() for path, count in lines.items() if count > 300] == []
    assert sum(count for path, count in lines.items() if path.stem in CORE) <= 1500
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    named = [Path(name).stem for name in re.findall(r"`src/in9/(\w+/\w+\.py)`", readme)]
    assert [name for name in named if name in CORE] == list(CORE)


def test_the_folders_of_tests_mirror_the_rooms() -> None:
    rooms = {room for floor in layers() for room in floor if (PACKAGE / room).is_dir()}
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert folders == rooms - {"cli"}  # the commands are tested by one file


def test_test_modules_import_no_other_and_reach_nothing_private() -> None:
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    names = {path.stem for path in tests}
    for path in tests:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in names, f"{path.name} imports {node.module}"
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not (str(node.module).startswith("in9") and private), f"{path.name} imports {private}"


def test_workflows_pin_their_actions_to_commits() -> None:
    uses = [
        line.split("uses:")[1].strip()
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for line in path.read_text(encoding="utf8").splitlines()
        if "uses:" in line
    ]
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), f"{action} can change under us"
