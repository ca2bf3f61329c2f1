"""Reads motion-capture positions and marks unreliable frames."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from hrtk.errors import InputError

JOINTS = (
    'pelvis',
    'r_hip',
    'r_knee',
    'r_ankle',
    'l_hip',
    'l_knee',
    'l_ankle',
    'spine',
    'thorax',
    'neck',
    'head',
    'l_shoulder',
    'l_elbow',
    'l_wrist',
    'r_shoulder',
    'r_elbow',
    'r_wrist',
)

# Action names of the recordings -> names of the ten actions.
# fmt: off
ACTIONS = {'Indian dance': 'indian_dance', 'martial arts (kicks, punches)': 'martial_arts', 'salsa dance': 'salsa',
           'styled walk': 'walking', 'walking_extra': 'walking', 'styled hop': 'jumping',
           'playground forward jumps, turn': 'jumping', 'basketball_signal': 'signalling',
           'directing_traffic': 'signalling', 'washwindow': 'washing_windows'}
# fmt: on

# fmt: off
TEST_CLIPS = frozenset(
    ['indian_15', 'martial_07', 'martial_09', 'salsa_10', '131_02', 'cmu8_train_directing_traffic_1',
     'cmu8_train_walking_extra_20', 'cmu8_test_running_1', 'cmu8_test_walking_1', 'cmu8_test_jumping_1',
     'cmu8_test_soccer_1', 'cmu8_test_basketball_1', 'cmu8_test_washwindow_1'])
# fmt: on

_DROPPED = frozenset(['indian_07'])  # its captured legs repeatedly swap and pass through each other
_LEAD_IN = 6  # frames; every recording starts with a T-pose and blends out of it
_ACCELERATION = 400.0  # m/s^2 of one joint; the fastest kicks and landings stay below
_MARGIN = 3  # frames around a glitch that the resampling of the source affected
_LONGEST_GAP = 15  # frames; a longer stretch of glitches cuts the clip in two
_SHORTEST_PIECE = 60  # frames


@dataclasses.dataclass
class SourceClip:
    """One unbroken stretch of captured motion.

    Attributes:
        name: name of the recording, with ``#k`` for the k-th piece of a recording that was cut.
        action: one of the ten action names.
        split: ``'train'`` or ``'test'``, the same for all pieces of a recording.
        rig: ``'daz'`` or ``'asf'``, the two conventions of the captured skeletons.
        positions: (F, 17, 3) metres, y up, in the order of :data:`JOINTS`.
        valid: (F, 17) bool, False where a joint jumps.
        fps: frames per second.
    """

    name: str
    action: str
    split: str
    rig: str
    positions: np.ndarray
    valid: np.ndarray
    fps: float


def read_clips(folder: Path, stride: int = 2) -> list[SourceClip]:
    """Reads ``cmu_h17_60fps.npz`` and ``clips.json`` of a folder.

    Args:
        folder: the folder of the two files.
        stride: every stride-th frame is kept, after the glitches are found at the full rate.
    """
    path = folder / 'cmu_h17_60fps.npz'
    if not path.is_file():
        raise InputError(f'{path}: not found; expected the 17-joint positions of the CMU clips')
    clips = []
    with np.load(path, allow_pickle=False) as file:
        if tuple(file['joint_names']) != JOINTS:
            raise InputError(
                f'{path}: joint_names is {list(file["joint_names"])}, expected {list(JOINTS)}'
            )
        for entry in json.loads((folder / 'clips.json').read_text(encoding='utf-8')):
            if entry['name'] not in _DROPPED:
                clips += _pieces(entry, file[entry['name']], stride)
    return clips


def _pieces(entry: dict, positions: np.ndarray, stride: int) -> list[SourceClip]:
    name = entry['name']
    fps = float(entry['fps'])
    positions = positions[_LEAD_IN:]
    glitch = _glitches(positions, fps)
    keep = ~_long_runs(glitch.any(axis=1), _LONGEST_GAP)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], keep.astype(np.int8), [0]])))
    spans = [(a, b) for a, b in zip(edges[::2], edges[1::2]) if b - a >= _SHORTEST_PIECE]
    clips = []
    for number, (a, b) in enumerate(spans):
        clips.append(
            SourceClip(
                name=name if len(spans) == 1 else f'{name}#{number}',
                action=ACTIONS.get(entry['action'], entry['action']),
                split='test' if name in TEST_CLIPS else 'train',
                rig='asf' if name.startswith(('cmu8', '131', '01')) else 'daz',
                positions=positions[a:b:stride].astype(np.float64),
                valid=~glitch[a:b:stride],
                fps=fps / stride,
            )
        )
    return clips


def _glitches(positions: np.ndarray, fps: float) -> np.ndarray:
    """(F, J) True where a joint accelerates more than humans can, and `_MARGIN` frames around it."""
    acceleration = np.linalg.norm(np.diff(positions, n=2, axis=0), axis=-1) * fps**2
    bad = np.zeros(positions.shape[:2], bool)
    for frame, joint in zip(*np.nonzero(acceleration > _ACCELERATION)):
        bad[max(frame + 1 - _MARGIN, 0) : frame + 2 + _MARGIN, joint] = True
    return bad


def _long_runs(flags: np.ndarray, longest: int) -> np.ndarray:
    """(F,) True inside runs of True that are longer than ``longest``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    result = np.zeros_like(flags)
    for a, b in zip(edges[::2], edges[1::2]):
        result[a:b] = b - a > longest
    return result
