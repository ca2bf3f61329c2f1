"""The free stream: synthetic video of the bundled body in a studio and in the wild, with exact ground truth."""

from hrtk.datasets.open_stream.domain import DOMAINS, SHIFTS, Domain, make_domain
from hrtk.datasets.open_stream.foreground import ForegroundViews, OpenForeground
from hrtk.datasets.open_stream.poses import OpenPoses
from hrtk.datasets.open_stream.stream import OpenStream
from hrtk.datasets.open_stream.tracks import OpenTracks
from hrtk.datasets.open_stream.views import OpenViews

__all__ = [
    'DOMAINS',
    'SHIFTS',
    'Domain',
    'ForegroundViews',
    'OpenForeground',
    'OpenPoses',
    'OpenStream',
    'OpenTracks',
    'OpenViews',
    'make_domain',
]
