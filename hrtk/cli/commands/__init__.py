"""One module per command.

The docstring of a module is the description in the command's help; its first line is the command's line in
``hrtk --help``. ``add_arguments(parser)`` declares the arguments, ``run(args)`` runs the command and returns the exit
code. ``ON_INTERRUPT`` is printed after Ctrl-C.
"""
