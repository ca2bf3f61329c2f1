"""SLEAP's analysis csv: ``track``, ``frame_idx``, ``instance.score``, then x, y and score of every node.

The columns of a node are ``<node>.x``, ``<node>.y``, ``<node>.score``. A row is one animal, here a person, in one
frame; frames count from 0, and a node that was not found is empty.
"""

from __future__ import annotations

import numpy as np

from hrtk.datasets.own.keypoint_readers.base import Reader, Source
from hrtk.datasets.own.keypoint_readers.deeplabcut import number_in
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content, FrameRef, Row, whole_number
from hrtk.datasets.own.named_points import SKELETON, NamedPoints

FRAME = 'frame_idx'
NOUN = 'rows'


def _recognises(source: Source) -> bool:
    if source.kind != 'csv' or not source.content:
        return False
    return FRAME in source.content[0] and bool(_nodes(source.content[0]))


def _nodes(header: list[str]) -> list[str]:
    """The names of the nodes, in their order."""
    nodes = [name.removesuffix('.x') for name in header if name.endswith('.x')]
    return [node for node in nodes if f'{node}.y' in header]


def _read(source: Source, left_out: LeftOut) -> Content:
    header = source.content[0]
    column = {name: index for index, name in enumerate(header)}
    table = [cells for cells in source.content[1:] if any(cell.strip() for cell in cells)]
    nodes = _nodes(header)
    order = NamedPoints(nodes, left_out)
    left_out.total(NOUN, len(table))
    rows = []
    for index, cells in enumerate(table):
        cells = cells + [''] * (len(header) - len(cells))
        number = whole_number(cells[column[FRAME]], left_out, NOUN, f'row {index}: {FRAME}')
        if number is None:
            continue
        points = np.ones((len(nodes), 3))
        for position, node in enumerate(nodes):
            points[position, 0] = number_in(cells, column[f'{node}.x'])
            points[position, 1] = number_in(cells, column[f'{node}.y'])
            if f'{node}.score' in column:
                points[position, 2] = number_in(cells, column[f'{node}.score'])
        track = None
        if 'track' in column:
            track = cells[column['track']]
        label = f'row {index}'
        rows.append(Row(FrameRef('', number), track, order.ordered(points), label, None, 'track'))
    return Content(rows, READER.source, SKELETON)


READER = Reader(
    program='SLEAP csv',
    recognised='a csv with `frame_idx` and `<node>.x` in its header',
    frame='`frame_idx`, from 0',
    person='`track`',
    skeleton='coco17, by the names of the nodes',
    source='sleap',
    recognises=_recognises,
    read=_read,
)
