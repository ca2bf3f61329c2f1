"""The result of one sequence, in memory and as a file.

Schema ``hrtk-result-1`` of a sequence of F frames and K keypoints (read it with ``np.load``, no pickle needed):

====================  ==============  ================================================================================
key                   shape           content
====================  ==============  ================================================================================
rotmat                (F, 24, 3, 3)   float32, adapted: global_orient (camera frame), then body_pose
betas                 (F, 10)         float32
camera                (F, 3)          float32 weak-perspective ``[s, tx, ty]`` of the crop box
before_rotmat, ...                    the same three of the frozen source model
boxes                 (F, 3)          float32 ``[cx, cy, side]``, px
keypoints2d           (F, K, 3)       float32 x, y (px) and confidence that were adapted to
keypoints_source      ()              who made them
skeleton              ()              their joint list
frame_ids             (F,)            labels of the frames, e.g. file names
image_size            (2,)            width and height of the first frame, px
fps                   ()              frames per second
ms_per_frame          ()              wall time of the adapter; before_ms_per_frame of the source model
report_<key>          ()              numbers that the adapter counted, e.g. skipped_updates
name, schema          ()              name of the sequence; ``hrtk-result-1``
====================  ==============  ================================================================================
"""

from __future__ import annotations

import dataclasses
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrtk.errors import InputError
from hrtk.files import write_atomically
from hrtk.structures import Prediction, Sequence

SCHEMA = 'hrtk-result-1'
REPORT = 'report_'
BEFORE = 'before_'
PARAMETERS = ('rotmat', 'betas', 'camera')
BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished sequence of F frames.

    Attributes:
        name: of the sequence.
        before: F predictions of the frozen source model, float32 in host memory, without features.
        after: F predictions of the adapter.
        boxes: (F, 3) float32 ``[cx, cy, side]``, px.
        keypoints2d: (F, K, 3) float32 x, y (px) and confidence.
        keypoints_source: who made the keypoints.
        skeleton: joint list of the keypoints.
        frame_ids: F labels.
        image_size: width and height of the first frame, px.
        fps: frames per second.
        ms_per_frame: wall time of the adapter.
        before_ms_per_frame: wall time of the source model.
        report: numbers that the adapter counted.
    """

    name: str
    before: Prediction
    after: Prediction
    boxes: np.ndarray
    keypoints2d: np.ndarray
    keypoints_source: str
    skeleton: str
    frame_ids: tuple[str, ...]
    image_size: tuple[int, int]
    fps: float
    ms_per_frame: float
    before_ms_per_frame: float
    report: dict[str, float] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.boxes)

    def save(self, path: Path) -> None:
        """Writes the npz atomically."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ('before', 'after', 'report'):
            del plain[name]
        arrays = {
            'schema': SCHEMA,
            **_stored(self.after, ''),
            **_stored(self.before, BEFORE),
            **plain,
            **{REPORT + key: value for key, value in self.report.items()},
        }
        arrays = {key: np.asarray(value) for key, value in arrays.items()}
        write_atomically(path, lambda file: np.savez(file, **arrays))

    @staticmethod
    def load(path: Path) -> Result:
        """Reads an npz back.

        Raises:
            InputError: the file is damaged, or not of this schema.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                values = {key: data[key] for key in data.files}
            return _from_arrays(values)
        except (*BROKEN, TypeError) as error:
            raise InputError(
                f'{path}: not a whole {SCHEMA} file ({error}); delete it and run again'
            ) from error

    def matches(self, sequence: Sequence) -> bool:
        """Whether the sequence still has the frames, boxes and keypoints that this result was computed from."""
        if self.frame_ids != tuple(sequence.frame_ids):
            return False
        if not np.array_equal(self.boxes, sequence.boxes.cpu().numpy()):
            return False
        return np.array_equal(self.keypoints2d, keypoint_array(sequence), equal_nan=True)


def keypoint_array(sequence: Sequence) -> np.ndarray:
    """The 2D keypoints of a sequence as a result stores them: (F, K, 3) x, y and confidence."""
    keypoints = sequence.keypoints2d
    return torch.cat([keypoints.xy, keypoints.confidence[..., None]], dim=-1).cpu().numpy()


def _stored(prediction: Prediction, prefix: str) -> dict[str, np.ndarray]:
    return {prefix + name: getattr(prediction, name).numpy() for name in PARAMETERS}


def _from_arrays(arrays: dict[str, np.ndarray]) -> Result:
    schema = arrays.pop('schema').item()
    if schema != SCHEMA:
        raise ValueError(f'schema {schema!r}')
    values: dict[str, Any] = {
        key: value.item() if value.ndim == 0 else value for key, value in arrays.items()
    }
    after = _taken(values, '')
    before = _taken(values, BEFORE)
    report = {key: values.pop(key) for key in list(values) if key.startswith(REPORT)}
    values['report'] = {key.removeprefix(REPORT): value for key, value in report.items()}
    values['frame_ids'] = tuple(values['frame_ids'].tolist())
    values['image_size'] = tuple(values['image_size'].tolist())
    return Result(before=before, after=after, **values)


def _taken(values: dict[str, Any], prefix: str) -> Prediction:
    return Prediction(*(torch.from_numpy(values.pop(prefix + name)) for name in PARAMETERS))
