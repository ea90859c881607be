"""The chapters: their parameters, their pairs of files, and how one is run.

A chapter is ``notebooks/NN_name.py`` (percent format, the source) with ``notebooks/NN_name.ipynb`` beside it, stored
without outputs. One code cell, tagged ``parameters``, declares the parameters as plain assignments.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from in9.book.parameters import Parameter, declared, fitting
from in9.errors import In9Error, unknown
from in9.files import written_whole
from in9.study.workspace import find_workspace

HIDDEN = {"hide-input", "remove-input"}  # tags of cells whose code a reader need not see
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


class CellFailed(Exception):
    """A cell that raised, or during which the kernel died: number among the code cells, first line, error."""

    def __init__(self, number: int, line: str, error: str) -> None:
        super().__init__(number, line, error)
        self.number, self.line, self.error = number, line, error


@dataclass(frozen=True)
class Chapter:
    """One notebook of the book; ``source`` is its ``.py`` file."""

    source: Path

    @property
    def name(self) -> str:
        """``NN_name``, the name of the file without its ending."""
        return self.source.stem

    def read(self) -> Any:
        """The notebook as nbformat's node, without outputs and with cell ids that depend on its text alone."""
        import jupytext
        import nbformat

        notebook = jupytext.read(self.source)
        notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC})
        for cell in notebook.cells:
            if HIDDEN & set(cell.metadata.get("tags", [])):
                cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab folds it, too
        return with_stable_ids(notebook)

    def title(self) -> str:
        """The first heading, or the name where there is none."""
        text = "\n".join(cell.source for cell in self.read().cells if cell.cell_type == "markdown")
        heading = re.search(r"^# +(.+)$", text, re.M)
        return heading[1].strip() if heading else self.name

    def declared(self) -> dict[str, Parameter]:
        """The parameters that the chapter declares, by name.

        Raises In9Error if there is not exactly one cell tagged ``parameters``, or if it holds anything other than
        assignments of plain values, or does not declare ``profile``.
        """
        tagged = [cell for cell in self.read().cells if "parameters" in cell.metadata.get("tags", [])]
        if len(tagged) != 1:
            raise In9Error(f"{self.source.name} has {len(tagged)} cells tagged 'parameters'; it must have one.")
        try:
            parameters = declared(tagged[0].source)
        except ValueError as error:
            raise In9Error(
                f"{self.source.name}: {str(error)!r} in the parameters cell is not a plain assignment such as "
                "seed: int = 0."
            ) from None
        if "profile" not in parameters:
            raise In9Error(f"{self.source.name} must declare the parameter 'profile'; every chapter does.")
        return parameters

    def parameters(self) -> dict[str, Any]:
        """The default of each parameter that the chapter declares, by name."""
        return {name: parameter.default for name, parameter in self.declared().items()}


def find_chapters(root: Path, only: Sequence[str] = ()) -> list[Chapter]:
    """The chapters in order; ``only`` picks some by number ("03" or "3") or by name.

    Raises In9Error if there is none at all, or if an item of ``only`` fits none.
    """
    chapters = [Chapter(path) for path in sorted((root / "notebooks").glob("[0-9][0-9]_*.py"))]
    if not chapters:
        raise In9Error(f"There is no chapter (NN_name.py) in {root / 'notebooks'}: run this in the project's folder.")
    chosen = set()
    for item in only:
        number = item and item.zfill(2)
        fitting = [chapter for chapter in chapters if item == chapter.name or number == chapter.name[:2]]
        if not fitting:
            raise unknown("chapter", item, [chapter.name for chapter in chapters])
        chosen.update(fitting)
    return [chapter for chapter in chapters if not only or chapter in chosen]


def parameters_for(chapters: Sequence[Chapter], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Per chapter, by name, those of the given parameters that it declares, as values of their types.

    Raises In9Error for a parameter that none of them declares, listing those that exist, and for a value of another
    type.
    """
    of_each = {chapter.name: chapter.declared() for chapter in chapters}
    known = {name for parameters in of_each.values() for name in parameters}
    for name in given:
        if name not in known:
            raise unknown("parameter", name, known)
    return {
        chapter: fitting(parameters, {name: value for name, value in given.items() if name in parameters})
        for chapter, parameters in of_each.items()
    }


def execute(
    chapter: Chapter, parameters: Mapping[str, Any], root: Path, output: Path, engine: str | None = None
) -> Any:
    """Run a chapter from its source in a kernel of this very Python, in the folder ``root``; return the notebook.

    ``engine`` is the default of its studies (see ``in9.study.engines``); without it that of this process holds.

    Papermill writes ``output`` after every cell, so what a failed run leaves there can be inspected. The cell of
    default parameters is tagged to be left out of the page, the cell of values used to be folded. What the kernel
    writes to stderr (progress) is shown while it runs if stderr is a terminal.

    Raises CellFailed.
    """
    import nbformat
    import papermill
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import DeadKernelError

    class ThisPython(AsyncKernelManager):
        """Starts the interpreter that runs this, whatever the installed kernelspec of that name points to."""

        @property
        def kernel_spec(self) -> KernelSpec:
            environment = {
                "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # a notice about debugging on stderr otherwise
                "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures even where MPLBACKEND is set
            } | ({"IN9_ENGINE": engine} if engine else {})
            # Being stopped is no error to report: what goes wrong in a cell is in the notebook.
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=50"]
            return KernelSpec(argv=command, env=environment, language="python")

    try:
        notebook = papermill.execute_notebook(
            chapter.read(),
            output,
            parameters=dict(parameters),
            kernel_name=KERNELSPEC["name"],
            language="python",
            cwd=root,
            progress_bar=False,
            kernel_manager_class=ThisPython,
            stderr_file=sys.stderr if sys.stderr.isatty() else None,
        )
    except papermill.PapermillExecutionError as error:
        message = next(iter(str(error.evalue).strip().splitlines()), "")
        raise CellFailed(error.exec_count, _first_line(error.source), f"{error.ename}: {message}") from None
    except DeadKernelError:
        cells = [cell for cell in nbformat.read(output, 4).cells if cell.cell_type == "code"]
        number = sum(bool(cell.metadata.get("papermill", {}).get("start_time")) for cell in cells)  # that have started
        line = _first_line(cells[number - 1].source)
        raise CellFailed(number, line, "DeadKernelError: the kernel died; perhaps memory ran out") from None
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        fold = {"parameters": "remove-input", "injected-parameters": "hide-input"}
        cell.metadata.tags = tags + [fold[tag] for tag in tags if tag in fold]
        if "injected-parameters" in tags:
            cell.metadata["mystnb"] = {"code_prompt_show": "Parameters of this run"}
    notebook.metadata.pop("papermill", None)  # it names paths of this machine
    return with_stable_ids(notebook)


def sync_notebooks(root: Path | None = None, check: bool = False) -> list[Path]:
    """Write every chapter's ``.ipynb`` from its ``.py``, without outputs; return the files that differed.

    With ``check`` nothing is written: raises In9Error naming the files that differ. The same ``.py`` gives the same
    bytes.
    """
    import nbformat

    root = root or find_workspace().root
    changed = []
    for chapter in find_chapters(root):
        chapter.parameters()
        target = chapter.source.with_suffix(".ipynb")
        text = nbformat.writes(chapter.read()) + "\n"
        if not target.is_file() or target.read_text(encoding="utf8") != text:
            changed.append(target)
            if not check:
                with written_whole(target) as partial:
                    partial.write_text(text, encoding="utf8", newline="\n")
    if check and changed:
        names = ", ".join(path.name for path in changed)
        raise In9Error(f"Not in step with the .py beside it: {names}. Run 'in9 sync' to write it anew.")
    return changed


def with_stable_ids(notebook: Any) -> Any:
    """Give every cell an id made from its kind, its text and how often that has come before."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    times: Counter[str] = Counter()
    for cell in notebook.cells:
        key = hashlib.blake2b(f"{cell.cell_type}\n{cell.source}".encode(), digest_size=5).hexdigest()
        times[key] += 1
        cell.id = key if times[key] == 1 else f"{key}-{times[key]}"
    return notebook


def _first_line(source: str) -> str:
    return next((line.strip() for line in source.splitlines() if line.strip()), "")
