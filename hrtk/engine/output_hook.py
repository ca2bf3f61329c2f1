"""Pictures and films of what an adaptation run did, one folder per sequence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Iterator, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.files import escaped_name
from hrtk.registry import HOOKS
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.overlay import PANELS, Region, before_after, contact_sheet, person_region
from hrtk.visualization.video import (
    can_write_video,
    letterbox,
    write_picture,
    write_pictures,
    write_video,
)

SHEET_FRAMES = 8
VIDEO_HEIGHT = 480


@HOOKS.register_module()
class OverlayHook(Hook):
    """Draws input | before | after | side view of some frames, and films before | after of all.

    Writes ``<work_dir>/pictures/<name>/<frame_id>.png``, the contact sheet ``<work_dir>/pictures/<name>.png`` and
    ``<work_dir>/videos/<name>.mp4`` (or a folder of numbered pictures where OpenCV cannot write films). A sequence
    whose files already show the same result is left alone, so that a resumed run draws only what is missing. Every
    rank draws its own sequences.

    Args:
        pictures: how many frames of a sequence, evenly spread, or ``'all'``; 0 for none.
        video: whether to write films.

    Raises:
        InputError: ``pictures`` is neither a number from 0 up nor ``'all'``.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, pictures: int | str = 8, video: bool = True) -> None:
        if pictures != 'all' and (
            not isinstance(pictures, int) or isinstance(pictures, bool) or pictures < 0
        ):
            raise InputError(
                f"OverlayHook: `pictures` must be a number from 0 up or 'all', got {pictures!r}"
            )
        self.pictures = pictures
        self.video = bool(video)

    def after_sequence(self, runner: Runner, sequence: Sequence, result: Result) -> None:
        """Draws one finished sequence, new or taken from the store."""
        panels = Panels(runner.model.body, sequence, result)
        if self.pictures:
            self._draw_pictures(Path(runner.work_dir) / 'pictures', panels)
        if self.video:
            self._draw_video(Path(runner.work_dir) / 'videos', panels, runner)

    def _draw_pictures(self, folder: Path, panels: Panels) -> None:
        sequence, name = panels.sequence, escaped_name(panels.sequence.name)
        count = len(sequence)
        chosen = list(range(count)) if self.pictures == 'all' else spread(count, self.pictures)
        paths = [folder / name / f'{escaped_name(sequence.frame_ids[t])}.png' for t in chosen]
        note = _Note(folder, name, panels.result)
        if note.covers([*paths, folder / f'{name}.png']):
            return
        for old in (folder / name).glob(
            '*.png'
        ):  # of another result or choice of frames: they must not mix
            old.unlink()
        on_sheet = {chosen[i] for i in spread(len(chosen), SHEET_FRAMES)}
        sheet = []
        for t, path in zip(chosen, paths):
            picture = panels.row(t)
            write_picture(path, picture)
            if t in on_sheet:
                sheet.append(picture)
        write_picture(folder / f'{name}.png', contact_sheet(sheet, columns=2, width=1920))
        note.write()

    def _draw_video(self, folder: Path, panels: Panels, runner: Runner) -> None:
        name, films = escaped_name(panels.sequence.name), can_write_video()
        path = folder / f'{name}.mp4' if films else folder / name
        note = _Note(folder, name, panels.result)
        if note.covers([path]):
            return
        if films:
            write_video(path, panels.film(), panels.sequence.fps)
        else:
            runner.logger.warning(
                f'OpenCV cannot write mp4 films here; {path} gets numbered pictures instead'
            )
            write_pictures(path, panels.film())
        note.write()


class Panels:
    """Draws the frames of one sequence.

    Args:
        body: the body model of the result.
        sequence: F frames.
        result: what to draw on them; also one whose ``before`` was exchanged for another run's.
    """

    def __init__(self, body: BodyModel, sequence: Sequence, result: Result) -> None:
        self.body, self.sequence, self.result = body, sequence, result

    def row(self, t: int, panels: SequenceOf[str] = PANELS) -> np.ndarray:
        """The picture of one frame, cut around the person."""
        image, points = self.sequence.frames[t], self.sequence.keypoints2d
        region = person_region(self.sequence.boxes[t : t + 1], image.shape[1::-1])
        keypoints = torch.cat([points.xy[t], points.confidence[t, :, None]], dim=1).numpy()
        return self._draw(
            image,
            t,
            region,
            keypoints=keypoints,
            skeleton=points.skeleton,
            panels=panels,
            title=f'{self.sequence.frame_ids[t]} | 2D: {points.source}',
        )

    def film(
        self,
        frames: Optional[SequenceOf[int]] = None,
        panels: SequenceOf[str] = ('before', 'after'),
        height: int = VIDEO_HEIGHT,
    ) -> Iterator[np.ndarray]:
        """Some frames (default all), before | after, one view and one size for all."""
        size: Optional[tuple[int, int]] = None
        for t in range(len(self.sequence)) if frames is None else frames:
            image = self.sequence.frames[t]
            region = person_region(self.sequence.boxes, image.shape[1::-1])
            picture = self._draw(image, t, region, panels=panels, max_height=height)
            size = size or picture.shape[1::-1]
            yield letterbox(picture, size)

    def _draw(self, image: np.ndarray, t: int, region: Region, **kwargs) -> np.ndarray:
        now = slice(t, t + 1)
        return before_after(
            image,
            self.result.before[now],
            self.result.after[now],
            self.sequence.boxes[t],
            self.body,
            region=region,
            **kwargs,
        )


def spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` indices below ``count``, evenly spread, first and last included."""
    return (
        sorted({round(float(v)) for v in np.linspace(0, count - 1, min(count, wanted))})
        if count
        else []
    )


class _Note:
    """A hidden file beside pictures that names the result they show.

    It tells pictures of this result from those that an earlier configuration left in the same folder.
    """

    def __init__(self, folder: Path, name: str, result: Result) -> None:
        digest = hashlib.sha256()
        for prediction in (result.after, result.before):
            for value in (prediction.rotmat, prediction.betas, prediction.camera):
                digest.update(value.numpy().tobytes())
        for array in (result.boxes, result.keypoints2d):
            digest.update(np.ascontiguousarray(array).tobytes())
        self.path, self.stamp = folder / f'.{name}.shows', digest.hexdigest()

    def covers(self, files: list[Path]) -> bool:
        """Whether all files are there and show this result; if not, the note goes until they do."""
        current = (
            self.path.exists()
            and self.path.read_text() == self.stamp
            and all(file.exists() for file in files)
        )
        if not current:
            self.path.unlink(missing_ok=True)
        return current

    def write(self) -> None:
        self.path.write_text(self.stamp)
