"""Saliency: which pixels speak for a class, and how much of that is the object (paper, section 4, figure 6).

``maps`` makes the maps, ``scores`` measures them against the masks, ``focus`` reads the result.
"""
