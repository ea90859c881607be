"""Evaluation: from a classifier and images to numbers with intervals (paper, sections 3 and 4).

Here live predictions, estimates, attacks with adversarial backgrounds, saliency maps, and the records that keep what
was measured. Nothing here knows of profiles or of the project's folders. Of the rooms, this one may import ``training``
and ``data``.
"""
