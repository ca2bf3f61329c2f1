"""Plain, slow versions of hrtk's hot paths, written from the papers and formats alone.

Tests compare hrtk with them and benchmarks time it against them; hrtk itself never imports them.
"""
