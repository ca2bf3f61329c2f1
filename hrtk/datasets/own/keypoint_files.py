"""Keypoint files of other programs, read into one table.

The layout is recognised from the content by the first of :data:`hrtk.datasets.own.keypoint_readers.READERS` that knows
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from hrtk.datasets.own.keypoint_readers import READERS, Source, open_source
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import KeypointTable, make_table
from hrtk.errors import InputError


def read_keypoints(path: str | Path, skeleton: Optional[str] = None) -> KeypointTable:
    """Reads a keypoint file, or a folder with one file per frame or person.

    COCO's visibilities 0, 1, 2 become the confidences 0, 1, 1; a detector's scores are clipped to [0, 1]. Of 26, 133
    and 136 points, Halpe's and COCO-WholeBody's, the first 17 are used, which are COCO's. Single bad values are left
    out, and one line of the log says how many of which kind.

    Args:
        path: the file or folder.
        skeleton: joint list of the points; None takes it from the file or from their number.

    Raises:
        InputError: the file is missing, broken, of an unknown layout, or holds nobody.
    """
    path = Path(path)
    source = open_source(path, skeleton)
    for reader in READERS:
        if reader.recognises(source):
            left_out = LeftOut(path)
            content = reader.read(source, left_out)
            return make_table(content, path, skeleton, left_out)
    raise InputError(
        f'{path}: unknown layout, it holds {_summary(source)}. Known are: {known_layouts()}'
    )


def known_layouts() -> str:
    """The table of readers as one text, for messages."""
    return '; '.join(f'{reader.program}: {reader.recognised}' for reader in READERS)


def _summary(source: Source) -> str:
    """What a file of an unknown layout holds."""
    first = source.first
    name = ''
    if source.kind == 'folder':
        name = f'{first.path.name} and {len(source.content) - 1} other files, the first with '
    if first.kind == 'csv':
        cells = [row[:8] for row in first.content[:3]]
        return f'{name}a csv that begins with {cells}'
    if first.kind == 'txt':
        lines = [line[:80] for line in first.content[:2]]
        return f'{name}lines like {lines}'
    return name + _json_summary(first.content)


def _json_summary(content: Any) -> str:
    if isinstance(content, dict):
        return f'the keys {sorted(content)[:8]}'
    if not isinstance(content, list):
        return f'a {type(content).__name__}'
    inner = content[0]
    if isinstance(inner, dict):
        return f'a list of objects with the keys {sorted(inner)[:8]}'
    if isinstance(inner, list):
        return f'a list of lists, the first of which holds {len(inner)} entries'
    return f'a list of {type(inner).__name__}, which must be a list of objects'
