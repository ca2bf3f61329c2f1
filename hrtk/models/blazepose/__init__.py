"""BlazePose: a detector of people, a network for the landmarks of a person, and both together."""

from hrtk.models.blazepose.detections import Detections, anchors, decode, suppress
from hrtk.models.blazepose.landmark_network import LandmarkNetwork, LandmarkOutput
from hrtk.models.blazepose.people import People, Person, to_people
from hrtk.models.blazepose.pipeline import BlazePose
from hrtk.models.blazepose.pose_detector import Candidates, PoseDetector
from hrtk.models.blazepose.regions import next_regions, plausible, regions_of_axes
from hrtk.models.blazepose.tracker import (
    DETECT_EVERY,
    SMALL_TILES,
    PeopleTracker,
    TrackedPerson,
)

__all__ = [
    'DETECT_EVERY',
    'SMALL_TILES',
    'BlazePose',
    'Candidates',
    'Detections',
    'LandmarkNetwork',
    'LandmarkOutput',
    'People',
    'PeopleTracker',
    'Person',
    'PoseDetector',
    'TrackedPerson',
    'anchors',
    'decode',
    'next_regions',
    'plausible',
    'regions_of_axes',
    'suppress',
    'to_people',
]
