"""Training: a recipe and a pool of images in, a classifier out (paper, section 3 and appendix B).

Here live the recipe, the augmentation, the networks, the training loop, and the trained classifiers that are kept on
disk. What a classifier answers is measured one room above, in ``evaluation``. Of the rooms, this one may import
``data`` alone.
"""
