"""Tables of runs: rows of configs, seeds and options, run, scored and written."""
