"""Images and videos of bodies over the images they were estimated from, drawn on the CPU."""

from hrtk.visualization.overlays import (
    before_after,
    contact_sheet,
    draw_keypoints,
    overlay,
    person_region,
)
from hrtk.visualization.render import Region, draw_mesh
from hrtk.visualization.video import write_image, write_picture, write_video

__all__ = [
    'Region',
    'before_after',
    'contact_sheet',
    'draw_keypoints',
    'draw_mesh',
    'overlay',
    'person_region',
    'write_image',
    'write_picture',
    'write_video',
]
