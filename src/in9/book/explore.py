"""What the page "Explore" calls: any object on any background and two classifiers' answers, and the control set's dial.

In JupyterLab ``pairs`` and ``dial`` give widgets where the study measures. Where a notebook is run from beginning to
end, as for the book, they give HTML that holds all answers and asks nobody for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from IPython.core.getipython import get_ipython
from IPython.display import HTML

from in9.book import demonstration
from in9.book.blocks import dial_html, pair_html
from in9.book.comparison import ALONE, Comparison, compare
from in9.experiments import controls
from in9.study.study import NotMeasured, Study
from in9.taxonomy import CLASS_NAMES, TITLES


def live() -> bool:
    """Whether somebody is there to move things: true in JupyterLab, false where papermill or a test runs a notebook.

    The request to run a cell says so: a front end allows questions to its user, a program that runs all cells does not.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(kernel and kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def pairs(study: Study, trained_on: Sequence[str] = ("original", "mixed_rand")) -> Any:
    """Any object on any background, and what the classifiers trained on two of the study's sets make of the picture.

    A widget that computes at each change, in JupyterLab and for a study that measures; else the experiment of the
    first page, which holds its answers. Raises as ``in9.book.comparison.compare``.
    """
    if study.compute and live():
        return pairs_widget(compare(study, trained_on))
    return HTML(demonstration.load(study.workspace).html())


def dial(study: Study) -> Any:
    """The dial of the control set, at its measured positions: a widget, or HTML where nobody is there to move it.

    What chapter 12 has not measured yet is measured first. Raises NotMeasured if the study does not compute.
    """
    measured = controls.dial(study)
    if not measured:
        raise NotMeasured("This machine has no records of the dial; run chapter 12 first.")
    images = controls.painted(study.profile)
    if not live():
        return HTML(dial_html(measured, images))
    slider = ipywidgets.SelectionSlider(
        options=[(f"{rho:g}", row) for row, rho in enumerate(measured)], description="rho"
    )
    return _shown([slider], [slider], lambda: dial_html(measured, images, slider.value))


def pairs_widget(comparison: Comparison) -> Any:
    """The widget: choose class and number of an object and of a background, and one of the six pictures."""

    def chooser(name: str, label: int) -> tuple[Any, Any]:
        options = [(title, value) for value, title in enumerate(CLASS_NAMES)]
        number = ipywidgets.IntSlider(1, 1, len(comparison.members(label)), description="image")
        return ipywidgets.Dropdown(options=options, value=label, description=name), number

    def row(classes: Any, number: Any) -> int:
        members = comparison.members(classes.value)
        number.max = len(members)
        return int(members[min(number.value, len(members)) - 1])

    objects, backgrounds = chooser("object", 0), chooser("background", 8)
    picture = ipywidgets.ToggleButtons(
        options=[("object on background", 0), *((TITLES[variant], place) for place, variant in enumerate(ALONE, 1))],
        description="picture",
        style={"button_width": "auto"},
    )
    return _shown(
        [ipywidgets.HBox(objects), ipywidgets.HBox(backgrounds), picture],
        [*objects, *backgrounds, picture],
        lambda: pair_html(comparison, row(*objects), row(*backgrounds), picture.value),
    )


def _shown(lines: Sequence[Any], inputs: Sequence[Any], html: Callable[[], str]) -> Any:
    """A widget: these lines, and below them what ``html`` gives, anew whenever one of the inputs changes."""
    below = ipywidgets.HTML(html())
    for widget in inputs:
        widget.observe(lambda change: setattr(below, "value", html()), names="value")
    return ipywidgets.VBox([*lines, below])
