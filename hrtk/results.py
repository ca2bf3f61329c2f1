"""The result of one sequence, in memory and as a file.

Schema ``hrtk-result-1`` of a sequence of F frames and K keypoints (read it with ``np.load``, no pickle needed):

====================  ==============  ================================================================================
key                   shape           content
====================  ==============  ================================================================================
rotmat                (F, 24, 3, 3)   float32, adapted: global_orient (camera frame), then body_pose
betas                 (F, 10)         float32
camera                (F, 3)          float32 weak-perspective ``[s, tx, ty]`` of the crop box
adapted_share         (F,)            float32 in [0, 1]; only in results of DoNoHarm: 1 where a frame is the wrapped
                                      adapter's, 0 where it was rolled back to the frozen model
before_rotmat, ...                    the same three arrays of the frozen source model
boxes                 (F, 3)          float32 ``[cx, cy, side]``, px
keypoints2d           (F, K, 3)       float32 x, y (px) and confidence, the input of the adapter
keypoints_source      ()              origin of the keypoints
skeleton              ()              joint list of the keypoints
frame_ids             (F,)            labels of the frames, e.g. file names
image_size            (2,)            width and height of the first frame, px
fps                   ()              frames per second; of frames at uneven times the mean
times                 (F,)            float64 seconds of the frames since the first one of the clip; only in results of
                                      videos with time stamps
ms_per_frame          ()              wall time of the adapter; before_ms_per_frame of the source model
report_<key>          ()              counters of the adapter, e.g. skipped_updates
focal                 ()              focal length of the camera, px; only in results of a clip whose camera is known
name, schema          ()              name of the sequence; ``hrtk-result-1``
====================  ==============  ================================================================================
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch

from hrtk.errors import InputError
from hrtk.files import write_atomically
from hrtk.reading.arrays import read_arrays
from hrtk.structures import Prediction, Sequence

SCHEMA = 'hrtk-result-1'
LARGEST_SIDE = 1 << 20  # px of an image
REPORT = 'report_'
BEFORE = 'before_'
SHAPES = {'rotmat': (24, 3, 3), 'betas': (10,), 'camera': (3,)}  # of one frame
PARAMETERS = tuple(SHAPES)
# Of a prediction; estimators and adapters without them store none.
OPTIONAL = ('joint_spread', 'adapted_share')


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished sequence of F frames.

    Attributes:
        name: of the sequence.
        before: F predictions of the frozen source model, float32 in host memory, without features.
        after: F predictions of the adapter.
        boxes: (F, 3) float32 ``[cx, cy, side]``, px.
        keypoints2d: (F, K, 3) float32 x, y (px) and confidence.
        keypoints_source: origin of the keypoints.
        skeleton: joint list of the keypoints.
        frame_ids: F labels.
        image_size: width and height of the first frame, px.
        fps: frames per second.
        ms_per_frame: wall time of the adapter.
        before_ms_per_frame: wall time of the source model.
        report: counters of the adapter.
        focal: focal length of the camera of the images, px; None if it is unknown. A file without the key has None.
        times: (F,) float64 rising seconds since the first frame of the clip, as the video has them; None if frame t is
            at ``t / fps``.
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
    focal: Optional[float] = None
    times: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.boxes)

    def save(self, path: Path) -> None:
        """Writes the npz file atomically."""
        values: dict[str, Any] = {'schema': SCHEMA}
        values.update(_parameters(self.after, ''))
        values.update(_parameters(self.before, BEFORE))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ('before', 'after', 'report') and value is not None:
                values[field.name] = value
        for key, value in self.report.items():
            values[REPORT + key] = value
        arrays: dict[str, Any] = {key: np.asarray(value) for key, value in values.items()}
        write_atomically(path, lambda file: np.savez(file, **arrays))

    @staticmethod
    def load(path: Path) -> Result:
        """Reads an npz file.

        Raises:
            InputError: the file is damaged, or has another schema.
        """
        try:
            values = read_arrays(path)
        except InputError as error:
            raise InputError(
                f'{path}: not a complete {SCHEMA} file ({error}); delete it and run again'
            ) from error
        try:
            return _from_arrays(values)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(
                f'{path}: not a complete {SCHEMA} file ({error}); '
                f'delete this result and run tools/adapt.py again'
            ) from error

    def matches(self, sequence: Sequence) -> bool:
        """Returns whether the sequence has the frames, boxes and keypoints that this result was computed from."""
        if self.frame_ids != tuple(sequence.frame_ids):
            return False
        if self.skeleton != sequence.keypoints2d.skeleton:
            return False
        if not np.array_equal(self.boxes, sequence.boxes.cpu().numpy()):
            return False
        return np.array_equal(self.keypoints2d, keypoint_array(sequence), equal_nan=True)


def keypoint_array(sequence: Sequence) -> np.ndarray:
    """Returns the 2D keypoints of a sequence as stored in a result: (F, K, 3) x, y and confidence."""
    keypoints = sequence.keypoints2d
    return torch.cat([keypoints.xy, keypoints.confidence[..., None]], dim=-1).cpu().numpy()


def _parameters(prediction: Prediction, prefix: str) -> dict[str, np.ndarray]:
    arrays = {prefix + name: getattr(prediction, name).numpy() for name in PARAMETERS}
    for name in OPTIONAL:
        value = getattr(prediction, name)
        if value is not None:
            arrays[prefix + name] = value.numpy()
    return arrays


def _from_arrays(arrays: dict[str, np.ndarray]) -> Result:
    schema = arrays.pop('schema').item()
    if schema != SCHEMA:
        raise ValueError(f'schema {schema!r}')
    after = _pop_prediction(arrays, '')
    before = _pop_prediction(arrays, BEFORE)
    fields: dict[str, Any] = {}
    report: dict[str, float] = {}
    for key, array in arrays.items():
        if key.startswith(REPORT):
            report[key.removeprefix(REPORT)] = array.item()
        elif array.ndim == 0:
            fields[key] = array.item()
        else:
            fields[key] = array
    fields['frame_ids'] = tuple(fields['frame_ids'].tolist())
    fields['image_size'] = tuple(fields['image_size'].tolist())
    result = Result(before=before, after=after, report=report, **fields)
    _check(result)
    return result


def _check(result: Result) -> None:
    """Raises ValueError unless the fields have the types and shapes of the schema."""
    frames = len(result.frame_ids)
    for prediction in (result.before, result.after):
        for name, shape in SHAPES.items():
            array = getattr(prediction, name).numpy()
            _check_array(name, array, (frames, *shape))
            if not np.isfinite(array).all():
                raise ValueError(f'{name} has values that are not finite')
        for name in OPTIONAL:
            value = getattr(prediction, name)
            if value is not None and len(value) != frames:
                raise ValueError(f'{name} of {len(value)} frames of {frames}')
    _check_array('boxes', result.boxes, (frames, 3))
    _check_array('keypoints2d', result.keypoints2d, (frames, *result.keypoints2d.shape[1:2], 3))
    _check_times(result.times, frames)
    texts = (result.name, result.keypoints_source, result.skeleton, *result.frame_ids)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError('a name is not text')
    numbers = [result.fps, result.ms_per_frame, result.before_ms_per_frame]
    numbers += [*result.image_size, *result.report.values()]
    if result.focal is not None:
        numbers.append(result.focal)
    if len(result.image_size) != 2 or not all(isinstance(x, (int, float)) for x in numbers):
        raise ValueError('fps, times, image_size, focal and counters must be numbers')
    if not all(0 < side <= LARGEST_SIDE for side in result.image_size):
        raise ValueError(f'image_size is {result.image_size}, not px from 1 to {LARGEST_SIDE}')
    if not all(math.isfinite(rate) for rate in (result.fps, result.focal or 0)):
        raise ValueError('fps and focal must be finite')


def _check_times(times: Optional[np.ndarray], frames: int) -> None:
    if times is None:
        return
    if not isinstance(times, np.ndarray) or times.shape != (frames,) or times.dtype != np.float64:
        raise ValueError(f'times must be float64 ({frames},)')
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise ValueError('times must be finite and rise')


def _check_array(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != np.float32:
        found = f'{array.dtype} {array.shape}' if isinstance(array, np.ndarray) else repr(array)
        raise ValueError(f'{name} is {found}, expected float32 {shape}')


def _pop_prediction(arrays: dict[str, np.ndarray], prefix: str) -> Prediction:
    """Removes the arrays of one prediction and returns the prediction."""
    names = [*PARAMETERS, *[name for name in OPTIONAL if prefix + name in arrays]]
    parameters = {name: torch.from_numpy(arrays.pop(prefix + name)) for name in names}
    return Prediction(**parameters)
