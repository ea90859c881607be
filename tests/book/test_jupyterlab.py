"""The notebooks in a real JupyterLab, as a learner opens them: all cells run, and no raw markup is to be seen.

By default this is one chapter. Set IN9_ALL_CHAPTERS=1 to open all of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from in9.book.notebooks import find_chapters
from in9.study.workspace import HOME_VARIABLE

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright")
pytest.importorskip("jupyterlab", reason="no jupyterlab")

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FEW = ("03_bg_gap",)
CHAPTERS = [chapter.name for chapter in find_chapters(PROJECT)] if os.environ.get("IN9_ALL_CHAPTERS") else FEW
RAW = re.compile(r"\{[a-z:]+\}`|\{(?:glue|doc|numref|cite|ref)\b|:::|^```", re.M)
"""Markup of MyST that only Sphinx understands."""
PATIENCE = 300_000  # milliseconds, on a busy machine
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # all cells are in the page, wherever it is scrolled to
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    const panel = app.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    app.commands.execute("notebook:run-all-cells").finally(() => { window.allRan = true; });
}"""
TO_THE_TOP = "() => document.querySelectorAll('.jp-WindowedPanel-outer').forEach((panel) => panel.scrollTo(0, 0))"
SAVE_AND_END = """async () => {
    await window.jupyterapp.commands.execute("docmanager:save");
    await window.jupyterapp.shell.currentWidget.sessionContext.shutdown();
}"""
SEEN = """() => [...document.querySelectorAll(".jp-RenderedMarkdown, .jp-OutputArea-output")].map((part) => {
    const copy = part.cloneNode(true);
    copy.querySelectorAll("pre, code, script, style").forEach((code) => code.remove());
    return copy.textContent;
}).join("\\n")"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its records, and neither data nor weights."""
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(PROJECT / "notebooks", home / "notebooks", ignore=shutil.ignore_patterns("*.py", "*.toml", ".*"))
    shutil.copytree(PROJECT / "records", home / "records")
    shutil.copy(PROJECT / "_config.yml", home)
    for name, settings in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    return home


@pytest.fixture(scope="module")
def lab(home: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves the project."""
    if not CHROMIUM:
        pytest.skip("no chromium")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--port=0",
        "--expose-app-in-browser",
    ]
    command += [f"--ServerApp.root_dir={home}", "--IdentityProvider.token=", "--ServerApp.password="]
    command += [f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
    environment = {**os.environ, HOME_VARIABLE: str(home), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=home, stdout=log, stderr=log, env=environment)
        try:
            yield _address(server, home / "runtime")
        finally:
            server.terminate()
            server.wait(30)


def _address(server: subprocess.Popen[bytes], runtime: Path) -> str:
    """Where the server answers, as soon as it has written so."""
    for _ in range(600):
        for path in runtime.glob("jpserver-*.json"):
            return str(json.loads(path.read_text())["url"])
        assert server.poll() is None, "JupyterLab did not start"
        time.sleep(0.2)
    raise TimeoutError("JupyterLab did not start in two minutes")


@pytest.fixture(scope="module")
def browser(lab: str) -> Iterator[Any]:
    """One browser for all chapters."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_all_cells_run_and_no_raw_markup_is_seen(name: str, lab: str, home: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{lab}lab/workspaces/{name}/tree/notebooks/{name}.ipynb")  # else the chapter before is opened, too
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.evaluate(RUN_ALL)
    if folder := os.environ.get("IN9_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}_0.png")
    page.wait_for_function("() => window.allRan")
    seen = page.evaluate(SEEN)
    if folder := os.environ.get("IN9_SCREENSHOTS"):
        page.set_viewport_size({"width": 1280, "height": 8000})
        page.evaluate(TO_THE_TOP)
        page.screenshot(path=Path(folder) / f"{name}.png")
    page.evaluate(SAVE_AND_END)
    page.close()
    cells = json.loads((home / "notebooks" / f"{name}.ipynb").read_text("utf8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    errors = [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert [error["evalue"] for error in errors] == []
    assert all(cell["execution_count"] for cell in code), "every cell has run"
    assert any(cell["outputs"] for cell in code) and len(seen) > 1_000
    assert RAW.findall(seen) == []
