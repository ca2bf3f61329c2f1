"""Sports2D's TRC files in pixels, ``*_px_person00.trc``, one for each person.

Sports2D writes "m" as the unit of all its TRC files, so the name tells the ones in px; x points right and y down in
them. Files of other names hold 3D points in metres, which are no keypoints of an image.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hrtk.datasets.own.frame_numbers import last_number
from hrtk.datasets.own.keypoint_readers.base import Reader, Source
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row
from hrtk.datasets.own.named_points import SKELETON, NamedPoints
from hrtk.datasets.own.pose2sim_files import TrcTable, read_trc_table
from hrtk.errors import InputError


def _recognises(source: Source) -> bool:
    return source.files()[0].suffix.lower() == '.trc'


def _read(source: Source, left_out: LeftOut) -> Content:
    rows: list[Row] = []
    for file in source.files():
        table = read_trc_table(file)
        if table.unit != 'px' and not re.search(r'_px(_|\.|$)', file.name):
            raise InputError(
                f'{file}: holds 3D points in {table.unit}, not 2D points in px of an image; give the *_px_*.trc of '
                f'Sports2D, or the 2D keypoints in json. A project of Pose2Sim with several cameras is read by '
                f'the data set Pose2SimProject'
            )
        rows.extend(_rows(table, file, len(source.files()) > 1, left_out))
    return Content(rows, READER.source, SKELETON)


def _rows(table: TrcTable, file: Path, several: bool, left_out: LeftOut) -> list[Row]:
    order = NamedPoints(table.names, left_out)
    person = None
    if several:
        person = last_number(file.stem)
    points = np.ones(table.values.shape)
    points[..., :2] = table.values[..., :2]
    missing = (table.values[..., :2] == 0).all(-1)
    points[missing] = np.nan
    # The time says where the first row lies in the video; the numbers of the rows begin with 0, 1 or that frame.
    first = round(float(table.times[0] * table.rate))
    rows = []
    for number, values in zip(table.frames - table.frames[0] + first, points):
        ordered = order.ordered(values)
        if ordered[:, 2].any():
            label = f'frame {number} of {file.name}'
            rows.append(Row(FrameRef('', int(number)), person, ordered, label, None, 'person'))
    return rows


READER = Reader(
    program='Sports2D trc',
    recognised='a `*_px_*.trc`, or a folder of them, one for each person; points in px, not in metres',
    frame='the time of the first row and the numbers of the rows',
    person='the number of the file',
    skeleton='coco17, by the names of the markers',
    source='sports2d',
    recognises=_recognises,
    read=_read,
)
