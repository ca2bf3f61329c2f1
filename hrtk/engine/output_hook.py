"""Images and videos of the results of an adaptation run, one folder per sequence."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional
from typing import Sequence as SequenceOf

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.files import escaped_name
from hrtk.geometry.camera import turn_root
from hrtk.registry import HOOKS
from hrtk.results import Result, keypoint_array
from hrtk.structures import Sequence, evenly_spaced
from hrtk.visualization.export import Placing
from hrtk.visualization.overlays import PANELS, before_after, contact_sheet, person_region
from hrtk.visualization.video import (
    can_write_video,
    letterbox,
    write_image,
    write_images,
    write_video,
)

SHEET_FRAMES = 8
SHEET_WIDTH = 1920  # px
VIDEO_HEIGHT = 480  # px


@HOOKS.register_module()
class OverlayHook(Hook):
    """Draws input | before | after | side view of some frames, and videos of before | after of all frames.

    Writes ``<work_dir>/pictures/<name>/<frame_id>.png``, the contact sheet ``<work_dir>/pictures/<name>.png`` and
    ``<work_dir>/videos/<name>.mp4`` (or a folder of numbered images where OpenCV cannot write videos). A sequence
    whose files already show the same result is skipped, so a resumed run draws only what is missing. Every rank draws
    its own sequences.

    Args:
        pictures: number of frames of a sequence to draw, evenly spaced, or ``'all'``; 0 for none.
        video: whether to write videos.

    Raises:
        InputError: ``pictures`` is neither a number from 0 up nor ``'all'``.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, pictures: int | str = 8, video: bool = True) -> None:
        self.most_images = _most_images(pictures)
        self.video = bool(video)

    def after_sequence(self, runner: Runner, sequence: Sequence, result: Result) -> None:
        """Draws a finished sequence, new or loaded from the result store."""
        panels = Panels(runner.model.body, sequence, result)
        if self.most_images != 0:
            self._write_images(Path(runner.work_dir) / 'pictures', panels)
        if self.video:
            self._write_video(Path(runner.work_dir) / 'videos', panels, runner)

    def _write_images(self, root: Path, panels: Panels) -> None:
        sequence = panels.sequence
        name = escaped_name(sequence.name)
        folder = root / name
        sheet_path = root / f'{name}.png'
        frames = list(range(len(sequence)))
        if self.most_images is not None:
            frames = evenly_spaced(len(sequence), self.most_images)
        paths = [folder / f'{escaped_name(sequence.frame_ids[t])}.png' for t in frames]
        stamp = _ResultStamp(root, name, panels.result)
        if stamp.covers([*paths, sheet_path]):
            return
        for old in folder.glob('*.png'):  # they may show another result or other frames
            old.unlink()
        sheet_frames = {frames[i] for i in evenly_spaced(len(frames), SHEET_FRAMES)}
        sheet_images = []
        for t, path in zip(frames, paths):
            image = panels.row(t)
            write_image(path, image)
            if t in sheet_frames:
                sheet_images.append(image)
        write_image(sheet_path, contact_sheet(sheet_images, columns=2, width=SHEET_WIDTH))
        stamp.write()

    def _write_video(self, folder: Path, panels: Panels, runner: Runner) -> None:
        name = escaped_name(panels.sequence.name)
        has_codec = can_write_video()
        path = folder / name
        if has_codec:
            path = folder / f'{name}.mp4'
        stamp = _ResultStamp(folder, name, panels.result)
        if stamp.covers([path]):
            return
        if has_codec:
            write_video(path, panels.video_frames(), panels.sequence.fps)
        else:
            runner.logger.warning(
                f'OpenCV cannot write mp4 videos here; {path} gets numbered images instead'
            )
            write_images(path, panels.video_frames())
        stamp.write()


class Panels:
    """Draws the frames of one sequence.

    Args:
        body: the body model of the result.
        sequence: F frames.
        result: the predictions to draw; its ``before`` may be another run's.
        placing: focal length, and whether the body of a side view is turned by the viewing ray of its crop, where the
            sequence has no ground truth.
    """

    def __init__(
        self, body: BodyModel, sequence: Sequence, result: Result, placing: Placing = Placing()
    ) -> None:
        self.body = body
        self.sequence = sequence
        self.result = result
        self.side = result.after
        rotation = placing.rotation_of(result)
        if rotation is not None and sequence.truth is None:
            rotmat = turn_root(result.after.rotmat, rotation.to(result.after.rotmat))
            self.side = dataclasses.replace(result.after, rotmat=rotmat)
        self.keypoints = keypoint_array(sequence)

    def row(self, t: int, panels: SequenceOf[str] = PANELS) -> np.ndarray:
        """Draws one frame as a row of panels, cropped to the person."""
        keypoints = self.sequence.keypoints2d
        return self._draw(
            t,
            self.sequence.boxes[t : t + 1],
            keypoints=self.keypoints[t],
            skeleton=keypoints.skeleton,
            panels=panels,
            title=f'{self.sequence.frame_ids[t]} | 2D: {keypoints.source}',
        )

    def video_frames(
        self,
        frames: Optional[Iterable[int]] = None,
        panels: SequenceOf[str] = ('before', 'after'),
        height: int = VIDEO_HEIGHT,
    ) -> Iterator[np.ndarray]:
        """Yields some frames (default all) as rows of panels, with one view and one size for all."""
        if frames is None:
            frames = range(len(self.sequence))
        size: Optional[tuple[int, int]] = None
        for t in frames:
            image = self._draw(t, self.sequence.boxes, panels=panels, max_height=height)
            if size is None:
                size = (image.shape[1], image.shape[0])
            yield letterbox(image, size)

    def _draw(self, t: int, region_boxes: Any, **options: Any) -> np.ndarray:
        """Draws a frame, cropped to the region of some boxes; further options as of :func:`before_after`."""
        image = self.sequence.frames[t]
        frame = slice(t, t + 1)
        return before_after(
            image,
            self.result.before[frame],
            self.result.after[frame],
            self.sequence.boxes[t],
            self.body,
            region=person_region(region_boxes, (image.shape[1], image.shape[0])),
            side=self.side[frame],
            **options,
        )


def _most_images(pictures: int | str) -> Optional[int]:
    """The largest number of images of a sequence; None for all frames."""
    if pictures == 'all':
        return None
    if isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 0:
        raise InputError(
            f"OverlayHook: `pictures` must be a number from 0 up or 'all', got {pictures!r}"
        )
    return pictures


class _ResultStamp:
    """A hidden file with a hash of the result that images or a video show.

    It distinguishes them from those of an earlier configuration in the same folder.
    """

    def __init__(self, folder: Path, name: str, result: Result) -> None:
        self.path = folder / f'.{name}.shows'
        self.digest = _result_digest(result)

    def covers(self, files: list[Path]) -> bool:
        """Whether all files exist and show this result; if not, the stamp is removed until they do."""
        current = (
            self.path.exists()
            and self.path.read_text(errors='replace') == self.digest
            and all(file.exists() for file in files)
        )
        if not current:
            self.path.unlink(missing_ok=True)
        return current

    def write(self) -> None:
        """Marks the files as showing this result."""
        self.path.write_text(self.digest)


def _result_digest(result: Result) -> str:
    """SHA-256 of predictions, boxes and keypoints."""
    digest = hashlib.sha256()
    for prediction in (result.after, result.before):
        for value in (prediction.rotmat, prediction.betas, prediction.camera):
            digest.update(value.numpy().tobytes())
    for array in (result.boxes, result.keypoints2d):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
