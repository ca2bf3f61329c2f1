"""The ``hrtk`` command and what its subcommands share."""
