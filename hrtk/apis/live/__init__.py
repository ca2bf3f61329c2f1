"""Live: bodies of people in front of a camera, while the networks adapt to them; see ``docs/en/live.md``."""

from hrtk.apis.live.budget import CostModel
from hrtk.apis.live.cameras import Camera, RecordedCamera
from hrtk.apis.live.people import FoundPerson, LivePerson
from hrtk.apis.live.playing import LiveReport, live, play
from hrtk.apis.live.runner import FrameReport, StreamingRunner
from hrtk.apis.live.setup import streaming_runner

__all__ = [
    'Camera',
    'CostModel',
    'FoundPerson',
    'FrameReport',
    'LivePerson',
    'LiveReport',
    'RecordedCamera',
    'StreamingRunner',
    'live',
    'play',
    'streaming_runner',
]
