"""The command line: ``in9 book | build | train | evaluate | challenge | export | fetch | records | claims`` and more.

A user's mistake is one sentence on stderr and exit status 2; Ctrl-C is exit status 130 and can be resumed. Commands
read options, call the rooms below and print; they hold no logic of their own.
"""
