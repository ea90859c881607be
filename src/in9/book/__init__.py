"""The book: chapters that are run as notebooks, the pages rendered around them, and the claims as readers see them.

Here live the runner (``render``, ``assembly``, ``notebooks``), the page "Explore" (``explore``, ``blocks``,
``comparison`` and the ``templates``), and the tables of claims (``claims_page``, ``readme``). The room may import every
room below it, and only ``cli`` imports it. Nothing is measured, estimated or judged here: numbers come from experiments
and records, figures and tables from ``plots``. Only "Explore" asks networks itself, about single pictures.
"""
