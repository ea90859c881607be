"""Scoring: any image classifier on ImageNet-9 (paper, section 5).

Here live the ways to load a classifier, the images to score it on, the two scores, and the report of them. Of the
rooms, this one may import ``evaluation`` and what stands below it, and ``plots`` for the report; never ``study``, which
stands beside it.
"""
