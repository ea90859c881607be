"""Study: what a profile needs is measured once, wherever there is a machine for it.

Here live profiles, jobs, the engines that run them, and the folders of a project. A study knows nothing of what its
numbers mean; that is for ``experiments``. Of the rooms, this one may import ``evaluation`` and what stands below it,
and never ``scoring``, which stands beside it.
"""
