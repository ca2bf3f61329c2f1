"""Keypoints and the footage they belong to: the frame of every person, and points in px of the image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

import numpy as np

from hrtk.datasets.own.footage import Footage
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import KeypointTable, clear_far_points


def place(
    table: KeypointTable, footage: Footage, first_frame: Optional[int] = None
) -> tuple[KeypointTable, list[int]]:
    """Finds the frame of every row of a keypoint file, and brings fractions of the image to px.

    Args:
        table: of the keypoint file.
        footage: the video or the images.
        first_frame: number of the first frame of a video in the keypoint file; None finds it, see
            :func:`hrtk.datasets.own.frame_numbers.first_frame`.

    Returns:
        The table in px, and the index of the frame of every row.

    Raises:
        InputError: of :meth:`~hrtk.datasets.own.footage.Footage.locate`.
    """
    indices = footage.locate(table, first_frame)
    if table.normalised:
        table = _in_pixels(table, footage, indices)
    return table, indices


def _in_pixels(table: KeypointTable, footage: Footage, indices: Sequence[int]) -> KeypointTable:
    sizes = {index: footage.size(index) for index in set(indices)}
    points = table.points.copy()
    for row, index in enumerate(indices):
        points[row, :, :2] *= np.array(sizes[index], np.float32)
    left_out = LeftOut(table.path)
    clear_far_points(points, left_out)
    left_out.total('points', points[..., 0].size)
    left_out.finish()
    return dataclasses.replace(table, points=points, normalised=False)


def shortest_track(table: KeypointTable, given: Optional[int]) -> int:
    """The number of frames below which a track is left out: the given one, or a default.

    The default protects from false detections, 5 frames. It is 1 for people whom somebody has annotated and told apart
    (COCO annotations with ``track_id``), since nobody annotates a person by mistake.
    """
    if given is not None:
        return given
    if table.source == 'annotated' and any(person is not None for person in table.persons):
        return 1
    return 5
