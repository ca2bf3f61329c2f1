"""Pictures and films of bodies over the images they were estimated from. Nothing here needs a graphics card."""

from hrtk.visualization.overlay import (
    Region,
    before_after,
    contact_sheet,
    draw_keypoints,
    overlay,
    person_region,
)
from hrtk.visualization.render import draw_mesh
from hrtk.visualization.video import write_picture, write_video

__all__ = [
    'Region',
    'before_after',
    'contact_sheet',
    'draw_keypoints',
    'draw_mesh',
    'overlay',
    'person_region',
    'write_picture',
    'write_video',
]
