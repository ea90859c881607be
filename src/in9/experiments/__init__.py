"""Experiments: one module for each question of the paper, the paper's own numbers, the claims and their verdicts.

An experiment declares what it needs measured and reads the answer from the records. Chapters and claims call the same
experiments. Plotting and pages belong to ``plots`` and ``book``. Of the rooms, this one may import ``study``,
``scoring`` and what stands below them.
"""
