"""Adversarial backgrounds: each object on each background, and who is fooled (paper, section 4).

``pairs`` predicts, ``search`` finds who is vulnerable with as few composites as it takes, ``attacks`` reads the result.
"""
