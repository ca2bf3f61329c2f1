"""Body parts by the names that people and programs give them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.errors import InputError

SKELETON = 'coco17'
# Fewer known parts are no person whom a body can be found for: one side's arm and leg are six.
LEAST = 6
PARTS = {
    'eye': 'eye',
    'ear': 'ear',
    'shoulder': 'shoulder',
    'sho': 'shoulder',
    'elbow': 'elbow',
    'elb': 'elbow',
    'wrist': 'wrist',
    'wri': 'wrist',
    'hip': 'hip_lsp',
    'hiplsp': 'hip_lsp',
    'knee': 'knee',
    'ankle': 'ankle',
    'ank': 'ankle',
}
SIDES = ('left', 'right')


def joint_of(name: str) -> str:
    """COCO's joint of a name, '' for other points.

    ``left_shoulder``, ``LShoulder``, ``l shoulder``, ``leftShoulder``, ``shoulder_l`` and ``Shoulder.Left`` are
    ``left_shoulder``; hips are COCO's, ``left_hip_lsp``.
    """
    letters = ''.join(letter for letter in name.lower() if letter.isalpha())
    if letters == 'nose':
        return letters
    if letters == 'rear' and not re.search(r'[_\W]|[a-zA-Z]E', name):
        return ''  # a word of its own
    for side in SIDES:
        for mark in (side, side[0]):
            if letters.startswith(mark) and letters.removeprefix(mark) in PARTS:
                return f'{side}_{PARTS[letters.removeprefix(mark)]}'
            if letters.endswith(mark) and letters.removesuffix(mark) in PARTS:
                return f'{side}_{PARTS[letters.removesuffix(mark)]}'
    return ''


class NamedPoints:
    """Puts points with names into COCO's order.

    Parts that are not among COCO's joints are not used, and the line about the file names them.

    Args:
        names: of the points of the file.
        left_out: of the file.

    Raises:
        InputError: fewer than :data:`LEAST` names are known.
    """

    skeleton = SKELETON

    def __init__(self, names: Sequence[str], left_out: LeftOut) -> None:
        joints = joint_names(SKELETON)
        found: dict[str, int] = {}
        unknown = []
        for index, name in enumerate(names):
            joint = joint_of(name)
            if joint and joint not in found:
                found[joint] = index
            else:
                unknown.append(name)
        if len(found) < LEAST:
            raise InputError(
                f'{left_out.path}: {len(found)} of its points ({", ".join(names[:30])}) are joints of a person whose '
                f'name is known; at least {LEAST} of nose, left and right eye, ear, shoulder, elbow, wrist, hip, knee '
                f'and ankle are needed, e.g. left_shoulder, LShoulder or shoulder_l'
            )
        if unknown:
            left_out.note(f'body parts that are not used: {", ".join(unknown)}')
        self._target = [joints.index(joint) for joint in found]
        self._source = list(found.values())

    def ordered(self, points: np.ndarray) -> np.ndarray:
        """(17, 3) x, y, confidence in COCO's order of (M, 3) points in the order of the names.

        Joints that the file lacks, and points that are no numbers, its mark of a missing point, are 0.
        """
        ordered = np.zeros((len(joint_names(SKELETON)), 3))
        ordered[self._target] = points[self._source]
        ordered[~np.isfinite(ordered).all(-1)] = 0
        return ordered
