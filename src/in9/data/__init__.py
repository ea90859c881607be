"""Data: images, their boxes and masks, and the eight variants that are made of them (paper, section 2, appendix A).

Here live the sources of labelled images, the build of a dataset, the datasets on disk, the variants, the authors' own
test set, and the downloads. Nothing here knows of a classifier. Of the package this room may import only ``files``,
``seeds``, ``taxonomy`` and ``errors``.
"""
