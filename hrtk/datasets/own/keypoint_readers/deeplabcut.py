"""DeepLabCut's csv: a header of the rows scorer, (individuals,) bodyparts and coords, then a row per frame.

Results of a video number the frames from 0 in the first column; labels of images have the path of the image there, in
newer versions in three columns. A body part has the columns x, y and, in results, likelihood; a missing one is empty.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from hrtk.datasets.own.frame_numbers import last_number
from hrtk.datasets.own.keypoint_readers.base import Reader, Source
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row
from hrtk.datasets.own.named_points import SKELETON, NamedPoints
from hrtk.errors import InputError

HEADER = ('scorer', 'individuals', 'bodyparts', 'coords')
COORDS = ('x', 'y', 'likelihood')
# Body parts that belong to no individual of a project with several.
NOBODY = 'single'
Columns = dict[str, dict[str, dict[str, int]]]  # individual, body part, coordinate -> column
NOUN = 'rows'


def _recognises(source: Source) -> bool:
    return source.kind == 'csv' and bool(source.content) and source.content[0][:1] == ['scorer']


def _read(source: Source, left_out: LeftOut) -> Content:
    header = {row[0]: row for row in source.content[: len(HEADER)] if row and row[0] in HEADER}
    if 'bodyparts' not in header or 'coords' not in header:
        raise InputError(
            f'{source.path}: the header of DeepLabCut has the rows {", ".join(HEADER)}, there are {", ".join(header)}'
        )
    table = [row for row in source.content[len(header) :] if any(cell.strip() for cell in row)]
    individuals = _columns(header)
    parts = list(dict.fromkeys(part for columns in individuals.values() for part in columns))
    order = NamedPoints(parts, left_out)
    first = min(min(c.values()) for columns in individuals.values() for c in columns.values())
    rows = []
    listed = []
    left_out.total(NOUN, len(table))
    for index, cells in enumerate(table):
        frame = _frame(cells[:first], f'row {index}', left_out)
        if frame is None:
            continue
        listed.append(frame)
        for name, columns in individuals.items():
            points = order.ordered(_points(cells, [columns.get(part, {}) for part in parts]))
            if points[:, 2].any():
                label = f'{name or "the person"} of row {index}'
                rows.append(Row(frame, name or None, points, label, None, 'individuals'))
    return Content(rows, READER.source, SKELETON, tuple(listed))


def _columns(header: dict[str, list[str]]) -> Columns:
    """The columns of every coordinate; the only individual of a file without individuals is called ''."""
    names = header.get('individuals', [''] * len(header['coords']))
    individuals: Columns = {}
    for column, (name, part, coord) in enumerate(zip(names, header['bodyparts'], header['coords'])):
        if coord in COORDS and name != NOBODY:
            individuals.setdefault(name, {}).setdefault(part, {})[coord] = column
    return individuals


def _points(cells: list[str], columns: list[dict[str, int]]) -> np.ndarray:
    """(M, 3) x, y, likelihood of all body parts; NaN where one is missing, likelihood 1 where the file has none."""
    points = np.full((len(columns), 3), np.nan)
    for index, column in enumerate(columns):
        values = [number_in(cells, column.get(coord, -1)) for coord in COORDS]
        if 'likelihood' not in column:
            values[2] = 1.0
        points[index] = values
    return points


def number_in(cells: list[str], column: int) -> float:
    """The number in a cell; NaN if the cell is empty, no number, or not there."""
    if not 0 <= column < len(cells):
        return float('nan')
    try:
        return float(cells[column])
    except ValueError:
        return float('nan')


def _frame(cells: list[str], label: str, left_out: LeftOut) -> Optional[FrameRef]:
    """The frame of a row, from the columns before the first coordinate."""
    path = '/'.join(cell.strip().replace('\\', '/') for cell in cells if cell.strip())
    if path.isdecimal():
        return FrameRef('', last_number(path))
    if not path:
        complaint = f'{label} has neither a frame number nor the path of an image'
        left_out.add(NOUN, 'have no frame and are left out', label, complaint)
        return None
    return FrameRef(path)


READER = Reader(
    program='DeepLabCut csv',
    recognised='a csv whose first cell is `scorer`',
    frame='the first column, a number from 0 or the path of an image',
    person='`individuals`',
    skeleton='coco17, by the names of the body parts',
    source='deeplabcut',
    recognises=_recognises,
    read=_read,
)
