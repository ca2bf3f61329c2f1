"""Sphinx: ``make docs``."""

from hrtk.version import __version__

project = 'hrtk'
author = copyright = 'The hrtk contributors'
release = __version__
extensions = ['myst_parser']
myst_heading_anchors = 3
exclude_patterns = ['_build', 'notebooks']
html_theme = 'furo'
html_title = f'hrtk {release}'
