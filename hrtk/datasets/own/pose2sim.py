"""Projects of Pose2Sim: several calibrated cameras that film the same people, with a 3D reference."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import torch

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.arrays import float_tensor
from hrtk.datasets.base import Asset, SequenceDataset
from hrtk.datasets.own.footage import IMAGE_SUFFIXES, open_footage
from hrtk.datasets.own.keypoint_files import read_keypoints
from hrtk.datasets.own.multiview import (
    SKELETON,
    Reference,
    View,
    common_frames,
    joints_at,
    make_view,
    match_people,
    people_by_identity,
    triangulated_references,
)
from hrtk.datasets.own.named_points import joint_of
from hrtk.datasets.own.pose2sim_files import Markers, person_of_trc, read_calibration, read_trc
from hrtk.datasets.own.real4 import REAL4, check_real4
from hrtk.datasets.own.sides import SideRepair
from hrtk.datasets.own.tracking import boxes_of_rows, points_of_rows, smooth_boxes
from hrtk.errors import InputError, OptionError, suggestion
from hrtk.files import natural, visible
from hrtk.geometry.calibrated_camera import CalibratedCamera
from hrtk.registry import DATASETS
from hrtk.structures import GroundTruth, Keypoints2D, Sequence

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.m4v', '.mpg', '.mpeg', '.mts', '.webm')
REFERENCES = ('trc', 'triangulated')
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Item:
    """One sequence.

    Attributes:
        name: ``<camera>_person<number>``.
        view: index of the camera.
        reference: index of the person.
        frames: frame numbers of the project.
        rows: row of the keypoints of every frame, -1 where the person was not detected.
    """

    name: str
    view: int
    reference: int
    frames: tuple[int, ...]
    rows: tuple[int, ...]


@DATASETS.register_module()
class Pose2SimProject(SequenceDataset):
    """A project folder of Pose2Sim; an item is one person in one camera, called ``<camera>_person<number>``.

    **Layout.** ``calib*/*.toml`` or ``*.qca.txt`` in the project or, for a trial of a batch, in the folder above it;
    ``videos/<camera>.mp4`` or folders of images; ``<keypoints>/<camera>_json/`` as Pose2Sim writes it, or
    ``<keypoints>/<camera>.json`` or ``.npz`` in any layout of
    :func:`hrtk.datasets.own.keypoint_files.read_keypoints`; ``pose-3d/*.trc`` with one file per person. Videos and
    keypoints belong to the cameras by name if all names agree, else by natural order, as in Pose2Sim.

    **Ground truth** is the 12 joints ``body12`` of the reference, in the frame of the camera, with the mean focal
    length and the principal point as ``intrinsics``, and the joints' projections through the lens as ``joints2d``.
    Hips are taken as ``*_hip_lsp``. Frames in which a joint is missing must not be scored. A reference is
    ``'trc'``, the markers of a TRC file, or ``'triangulated'``, computed from the given 2D keypoints of all cameras
    by :func:`hrtk.geometry.triangulation.triangulate`, without smoothing. A triangulated reference shares its errors
    with the keypoints; therefore their ``source`` names it.

    **People.** With a TRC file, the detections of each frame are matched to the projected reference, see
    :func:`hrtk.datasets.own.multiview.match_people`. For triangulation, the keypoint files must give identities, or
    show one person, the largest in every frame.

    **Frames** are those between the first and last complete reference which all cameras have. Boxes are computed as in
    :class:`~hrtk.datasets.own.video.VideoDataset` with ``fill_gaps``: where a person is not detected, the box is
    interpolated and the keypoints have confidence 0.

    Args:
        root: folder of the project.
        keypoints: the folder of 2D keypoints in it: ``'pose'``, ``'pose-sync'``, ``'pose-associated'``, ...
        reference: ``'trc'`` or ``'triangulated'``.
        stride: every so many frames of the project, those whose number is a multiple.
        cameras: names of the cameras to yield, None for all; a triangulation uses all in any case.
        trc: pattern of the TRC files below the folder.
        calibration: the calibration file below the folder; None finds it.
        offsets: frames by camera, as Pose2Sim's synchronisation prints them; frame t of the project is frame
            ``t + offset`` of the video. 0 for cameras that it does not name.
        source: origin of the keypoints, printed beside every result; None takes it from the files.
        skeleton: joint list of the keypoints; None takes it from the files.
        min_confidence: points of lower confidence get confidence 0; 0.3 is VIBE's and Pose2Sim's.
        box_scale: side of the crop box over the larger extent of the visible points, 1.2 in SPIN.
        smooth: whether to smooth boxes over time as in VIBE's script for 3DPW.
        repair_sides: whether left and right are put right where the detector exchanged them for some frames, see
            :class:`~hrtk.datasets.own.sides.SideRepair`; the ``source`` of the keypoints says so.

    Attributes:
        views: the cameras with their keypoints.
        references: the people.

    Raises:
        InputError: an option is invalid, a file is missing, broken or does not fit the others, or no person is left.
    """

    assets = (
        Asset(
            REAL4,
            'the benchmark real4',
            'https://github.com/perfanalytics/pose2sim',
            'pip download --no-deps pose2sim==0.10.49; python tools/prepare_dataset.py real4 WHEEL '
            '--output data/real4',
            check_real4,
        ),
    )

    def __init__(
        self,
        root: str | Path,
        keypoints: str = 'pose',
        reference: Literal['trc', 'triangulated'] = 'trc',
        stride: int = 1,
        cameras: Optional[SequenceOf[str]] = None,
        trc: str = 'pose-3d/*.trc',
        calibration: Optional[str] = None,
        offsets: Optional[Mapping[str, int]] = None,
        source: Optional[str] = None,
        skeleton: Optional[str] = None,
        min_confidence: float = 0.3,
        box_scale: float = 1.2,
        smooth: bool = True,
        repair_sides: bool = False,
    ) -> None:
        if reference not in REFERENCES:
            raise OptionError(
                f'Pose2SimProject: reference is one of {", ".join(map(repr, REFERENCES))}, not {reference!r}'
            )
        if not isinstance(stride, int) or stride < 1:
            raise OptionError(
                f'Pose2SimProject: stride must be a whole number above 0, not {stride!r}'
            )
        self.root = Path(root)
        self.reference = reference
        self.stride = stride
        self.smooth = smooth
        self.repair_sides = repair_sides
        self.source = source
        calibrated = read_calibration(_calibration_file(self.root, calibration))
        self.views = self._open_views(
            calibrated, keypoints, dict(offsets or {}), skeleton, min_confidence, box_scale
        )
        self.references = self._find_references(trc)
        self._items = self._find_items(cameras)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Sequence:
        item = self._items[index]
        view = self.views[item.view]
        numbers = [frame + view.offset for frame in item.frames]
        return Sequence(
            name=item.name,
            frames=view.footage.frames(numbers),
            boxes=torch.from_numpy(self._boxes(view, item)),
            keypoints2d=self._keypoints(view, item),
            truth=_truth(view.camera, joints_at(self.references[item.reference], item.frames)),
            frame_ids=tuple(view.footage.label(number) for number in numbers),
            fps=self._fps(view),
        )

    @property
    def metainfo(self) -> Mapping[str, Any]:
        """``reference``: the origin of the 3D joints."""
        return {'reference': self.reference}

    def names(self) -> list[str]:
        """``<camera>_person<number>`` of all sequences."""
        return [item.name for item in self._items]

    def fingerprint(self) -> dict[str, str]:
        """A hash over names and sizes in bytes of the videos; keypoints and boxes are compared by value."""
        return {f'{view.camera.name}': view.footage.fingerprint() for view in self.views}

    def _open_views(
        self,
        cameras: list[CalibratedCamera],
        keypoints: str,
        offsets: dict[str, int],
        skeleton: Optional[str],
        min_confidence: float,
        box_scale: float,
    ) -> list[View]:
        videos = _paths_of_cameras(self.root / 'videos', cameras, _is_footage)
        files = _paths_of_cameras(self.root / keypoints, cameras, _is_keypoints)
        named = [dataclasses.replace(c, name=video.stem) for c, video in zip(cameras, videos)]
        unknown = sorted(set(offsets) - {camera.name for camera in named})
        if unknown:
            raise OptionError(
                f'Pose2SimProject: offsets name no camera, {unknown[0]!r}. '
                f'{suggestion(unknown[0], [camera.name for camera in named])}'
            )
        views = []
        for camera, video, file in zip(named, videos, files):
            footage = open_footage(video)
            table = read_keypoints(file, skeleton)
            offset = offsets.get(camera.name, 0)
            views.append(make_view(camera, footage, offset, table, min_confidence, box_scale))
        return views

    def _find_references(self, pattern: str) -> list[Reference]:
        if self.reference == 'triangulated':
            people = [people_by_identity(view) for view in self.views]
            return triangulated_references(self.views, people)
        files = sorted(visible(self.root, pattern), key=lambda file: natural(file.name))
        if not files:
            raise InputError(
                f"{self.root}: holds no {pattern}; run Pose2Sim.triangulation(), or set reference='triangulated'"
            )
        references = []
        for file in files:
            joints, frames = _joints_of_markers(read_trc(file), file)
            references.append(Reference(person_of_trc(file, 1), frames, joints))
        people_of_files = [reference.person for reference in references]
        if len(set(people_of_files)) < len(files):
            raise InputError(
                f'{self.root}: several TRC files of one person: {", ".join(file.name for file in files)}; '
                f'choose with trc=, e.g. trc={f"pose-3d/{files[0].name}"!r}'
            )
        return references

    def _find_items(self, cameras: Optional[SequenceOf[str]]) -> list[_Item]:
        available = [view.camera.name for view in self.views]
        for name in cameras or ():
            if name not in available:
                raise OptionError(
                    f'Pose2SimProject: there is no camera {name!r}. {suggestion(name, available)}'
                )
        ranges = [range(-view.offset, len(view.footage) - view.offset) for view in self.views]
        items = []
        for index, view in enumerate(self.views):
            if cameras is not None and view.camera.name not in cameras:
                continue
            for person, rows in enumerate(self._rows_of_people(view)):
                reference = self.references[person]
                frames = common_frames(reference, self.stride, ranges)
                rows_of_frames = tuple(rows.get(frame, -1) for frame in frames)
                name = f'{view.camera.name}_person{reference.person}'
                if max(rows_of_frames, default=-1) < 0:
                    _log.warning('%s: %s is not detected and left out', self.root, name)
                    continue
                items.append(_Item(name, index, person, tuple(frames), rows_of_frames))
        if not items:
            raise InputError(
                f'{self.root}: no person is left: nobody is detected in frames that have a 3D reference and '
                f'lie in every video; check that keypoints, TRC and videos belong together'
            )
        return items

    def _rows_of_people(self, view: View) -> list[dict[int, int]]:
        """``{frame: row}`` of every reference."""
        if self.reference == 'trc':
            return match_people(view, self.references)
        people = people_by_identity(view)
        return [people.get(reference.person, {}) for reference in self.references]

    def _fps(self, view: View) -> float:
        return (view.footage.fps or 25.0) / self.stride

    def _boxes(self, view: View, item: _Item) -> np.ndarray:
        """(F, 3) float32; interpolated where the person was not detected."""
        boxes = boxes_of_rows(np.array(item.rows), view.boxes)
        if self.smooth:
            boxes = smooth_boxes(boxes, self._fps(view))
        return boxes.astype(np.float32)

    def _keypoints(self, view: View, item: _Item) -> Keypoints2D:
        detected = points_of_rows(np.array(item.rows), view.points)
        source = self.source or view.table.source
        if self.repair_sides:
            detected, _ = SideRepair()(detected, view.table.skeleton, self._fps(view))
            source += ', left and right repaired'
        points = torch.from_numpy(detected)
        if self.reference == 'triangulated':
            source += ', also the triangulated reference'
        return Keypoints2D(
            points[..., :2].contiguous(),
            points[..., 2].contiguous(),
            view.table.skeleton,
            source,
        )


def _truth(camera: CalibratedCamera, world: np.ndarray) -> GroundTruth:
    """Ground truth of (F, 12, 3) joints of the world, NaN where one is unknown."""
    valid = np.asarray(np.isfinite(world).all((1, 2)))
    joints = camera.to_camera(np.where(valid[:, None, None], world, 0.0))
    in_front = np.asarray((joints[..., 2] > 0).all(1))
    projected = camera.project(np.where(in_front[:, None, None], joints, 1.0))
    joints[~valid] = 0
    projected[~valid] = 0
    intrinsics = torch.tensor([camera.focal, camera.matrix[0, 2], camera.matrix[1, 2]])
    return GroundTruth(
        intrinsics=intrinsics.float().expand(len(world), 3),
        joints3d=float_tensor(joints),
        joints2d=float_tensor(projected),
        skeleton=SKELETON,
        valid=torch.from_numpy(valid & in_front),
    )


def _joints_of_markers(markers: Markers, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Joints (F, 12, 3) of ``body12`` and frames (F,) of a TRC file.

    Raises:
        InputError: the file lacks a joint.
    """
    position = {joint_of(name): index for index, name in enumerate(markers.names)}
    missing = [name for name in joint_names(SKELETON) if name not in position]
    if missing:
        raise InputError(
            f'{path}: no marker for {", ".join(missing)}; it has {", ".join(markers.names[:40])}. Use the TRC '
            f'file of the triangulated joints (RShoulder, LHip, ...), not one of augmented markers'
        )
    indices = [position[name] for name in joint_names(SKELETON)]
    return markers.points[:, indices], markers.frames


def _calibration_file(root: Path, given: Optional[str]) -> Path:
    """The calibration file of a project.

    Raises:
        InputError: there is none, or several.
    """
    if not root.is_dir():
        raise InputError(f'{root}: there is no such folder; check the path')
    if given is not None:
        return root / given
    for folder in (root, root.resolve().parent):
        calibrations = [child for child in visible(folder) if 'calib' in child.name.lower()]
        for pattern in ('*.toml', '*.qca.txt'):
            files: list[Path] = []
            for child in sorted(calibrations):
                files += visible(child, pattern)
            if len(files) > 1:
                names = ', '.join(str(file.relative_to(folder)) for file in files)
                raise InputError(
                    f'{folder}: several calibrations: {names}; choose one with calibration='
                )
            if files:
                return files[0]
    raise InputError(
        f'{root}: neither calib*/*.toml nor calib*/*.qca.txt here or in the folder above; copy the '
        f'calibration there or name it with calibration='
    )


def _paths_of_cameras(folder: Path, cameras: list[CalibratedCamera], is_kind: Any) -> list[Path]:
    """The file or folder of every camera, by name if all names agree, else by natural order.

    Raises:
        InputError: the folder is missing or does not hold one for each camera.
    """
    if not folder.is_dir():
        raise InputError(f'{folder}: there is no such folder; check the project')
    paths = [path for path in visible(folder) if is_kind(path)]
    paths.sort(key=lambda path: natural(path.name))
    by_name = {path.stem.removesuffix('_json'): path for path in paths}
    names = [camera.name for camera in cameras]
    if all(name in by_name for name in names):
        return [by_name[name] for name in names]
    if len(paths) != len(cameras):
        raise InputError(
            f'{folder}: {len(paths)} entries ({", ".join(path.name for path in paths[:8])}) for '
            f'{len(cameras)} calibrated cameras ({", ".join(names)}); there must be one for each'
        )
    return paths


def _is_footage(path: Path) -> bool:
    if path.is_dir():
        return any(file.suffix.lower() in IMAGE_SUFFIXES for file in visible(path))
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_keypoints(path: Path) -> bool:
    if path.is_dir():
        return bool(visible(path, '*.json'))
    return path.suffix in ('.json', '.npz')
