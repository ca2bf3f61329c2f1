"""The ``hrtk`` command."""
