"""What a chapter shows: tables, numbers for its prose, charts and pictures, and the look that they share.

Everything here takes tidy frames, arrays and plain mappings, and returns a figure or Markdown. It computes no result
and reads no file. The room imports no other room, only ``taxonomy``, ``files`` and ``errors``.
"""
