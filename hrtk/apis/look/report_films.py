"""What a report shows of every sequence and of every clip: films, bodies in their scene, errors and doubts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from typing import Optional

import numpy as np

from hrtk.apis.doubts import doubtful_frames
from hrtk.apis.look.clips import ClipPeople, clips_of, stage_clip
from hrtk.apis.look.comparison import Comparison, Scorer
from hrtk.apis.look.scene import draw_people, scaled_frame
from hrtk.apis.look.stored import bodies_by_role
from hrtk.engine.output_hook import Panels
from hrtk.evaluation.protocols import Protocol
from hrtk.evaluation.report import COLUMNS, Record
from hrtk.structures import Sequence
from hrtk.visualization.doubts import in_clip
from hrtk.visualization.export import Placing
from hrtk.visualization.overlays import with_caption
from hrtk.visualization.playback import encode_video, pelvis_meshes
from hrtk.visualization.render import BLUE, PINK
from hrtk.visualization.report import Clip, Person, Track, WorstFrame, spaced_maxima
from hrtk.visualization.stage import StagedPeople, judged_role
from hrtk.visualization.video import letterbox

# Errors that are plotted over time, in this order.
PLOTTED = ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'reprojection_px', 'accel_mm', 'iou')
VIDEO_HEIGHT = 400  # px
WIDE = 1.2  # width by height
CLIP_PANEL = 640  # px, the longer side of each of the two panels of a film of everybody
WORST_FRAMES = 4
# Names and units of errors in running text, where they differ from the column headings.
NAMES = {'reprojection_px': ('reprojection error', 'px'), 'iou': ('mask IoU', '%')}
ORDINALS = {2: 'second', 3: 'third'}


class Films:
    """Builds the tracks and clips of a page.

    Args:
        scorer: data set and body.
        comparison: the compared rows.
        placing: focal length, and whether bodies are turned by the viewing ray.
        protocol: of the errors.
        most_frames: largest number of frames of a film.
    """

    def __init__(
        self,
        scorer: Scorer,
        comparison: Comparison,
        placing: Placing,
        protocol: Protocol,
        most_frames: int,
    ) -> None:
        self.dataset = scorer.dataset
        self.body = scorer.body
        self.comparison = comparison
        self.placing = placing
        self.protocol = protocol
        self.most_frames = most_frames

    def build(self, indices: SequenceOf[int]) -> tuple[list[Track], list[Clip]]:
        """The tracks of some sequences of the data set, in this order, and the clips that several of them are of."""
        chosen = [self.comparison.records[index].name for index in indices]
        tracks: dict[str, Track] = {}
        clips: list[Clip] = []
        for clip in clips_of(self.dataset, self.comparison.results):
            members = [name for name in chosen if name in clip.frames]
            if members:
                self._build_clip(clip, members, chosen, tracks, clips)
        return [tracks[name] for name in chosen], clips

    def _build_clip(
        self,
        clip: ClipPeople,
        members: list[str],
        chosen: list[str],
        tracks: dict[str, Track],
        clips: list[Clip],
    ) -> None:
        """Adds the tracks of one clip to ``tracks``, and if they are several, the clip to ``clips``."""
        indices = {record.name: index for index, record in enumerate(self.comparison.records)}
        sequences = {name: self.dataset[indices[name]] for name in members}
        staged = stage_clip(
            self.dataset,
            sequences[members[0]],
            {name: self.comparison.results[name] for name in clip.frames},
            self.comparison.adapted,
            self.body,
            self.placing,
            self.protocol,
        )
        step = math.ceil(clip.span(members) / self.most_frames)
        shown = {name: clip.shown(name, step, members) for name in members}
        for name in members:
            others = []
            for other in members:
                if other != name:
                    at = _positions(clip, shown, other, [clip.frames[name][t] for t in shown[name]])
                    others.append(Person(chosen.index(other), at))
            record = self.comparison.records[indices[name]]
            tracks[name] = self._track(sequences[name], record, shown[name], step, staged, others)
        if len(members) > 1:
            clips.append(self._clip(clip, members, chosen, tracks, shown, step, staged))

    def _track(
        self,
        sequence: Sequence,
        record: Record,
        shown: list[int],
        step: int,
        staged: StagedPeople,
        others: list[Person],
    ) -> Track:
        """Everything that the page shows of one sequence."""
        comparison = self.comparison
        result = comparison.results[sequence.name]
        panels = Panels(self.body, sequence, result, self.placing)
        video_panels = ('before', 'after') if comparison.adapted else ('input', 'before')
        images = panels.video_frames(shown, video_panels, VIDEO_HEIGHT)
        meshes = {}
        bodies = bodies_by_role(sequence, result, comparison.adapted, self.placing, self.protocol)
        for role, (rotmat, betas) in bodies.items():
            meshes[role] = pelvis_meshes(self.body, rotmat[shown], betas[shown])
        paths = staged.places_of(sequence.name, meshes)
        return Track(
            name=sequence.name,
            frame_ids=sequence.frame_ids,
            shown=shown,
            video=encode_video(images, sequence.fps / step),
            video_text=_video_text(comparison, step, len(sequence)),
            errors=_plotted_errors(comparison, record),
            meshes=meshes,
            worst=_worst_frames(panels, comparison, record),
            doubts=doubtful_frames(self.dataset, sequence, result, self.body),
            places={role: path[shown] for role, path in paths.items()},
            stage=staged.stage,
            others=others,
        )

    def _clip(
        self,
        clip: ClipPeople,
        members: list[str],
        chosen: list[str],
        tracks: dict[str, Track],
        shown: dict[str, list[int]],
        step: int,
        staged: StagedPeople,
    ) -> Clip:
        """Everybody of a clip at once; its frames are those between the first and the last one of anybody."""
        start = min(clip.frames[name][0] for name in members)
        count = clip.span(members)
        records = {record.name: record for record in self.comparison.records}
        key = main_error(records[members[0]])
        errors = []
        doubts = []
        people = []
        worst = []
        labels = [''] * count
        frames = range(start, start + count, step)
        for name in members:
            positions = np.array(clip.frames[name]) - start
            values = np.full(count, np.nan)
            values[positions] = records[name].after.get(key, np.nan)
            errors.append(values)
            track = tracks[name]
            doubts.append(in_clip(track.doubts, clip.frames[name], start))
            for frame in track.worst:
                text = f'{name}: {frame.text}'
                worst.append(
                    dataclasses.replace(frame, frame=int(positions[frame.frame]), text=text)
                )
            for position, label in zip(positions, track.frame_ids):
                labels[position] = label
            people.append(Person(chosen.index(name), _positions(clip, shown, name, frames)))
        worst.sort(key=lambda frame: frame.error, reverse=True)
        rate = self.comparison.results[members[0]].fps / step
        size = self.comparison.results[members[0]].image_size
        return Clip(
            name=clip.name,
            frame_ids=labels,
            shown=[frame - start for frame in frames],
            video=encode_video(self._everybody(clip, frames), rate),
            video_text=_video_text(self.comparison, step, count, _is_wide(size)),
            error=', '.join(name_and_unit(key)),
            errors=errors,
            people=people,
            role=judged_role(self.comparison.rows),
            doubts=doubts,
            worst=worst[:WORST_FRAMES],
            stage=staged.stage,
        )

    def _everybody(self, clip: ClipPeople, frames: range) -> Iterator[np.ndarray]:
        """Whole images with the bodies of all people of the clip: before and after one beside or above the other."""
        results = self.comparison.results
        images = self.dataset.footage.frames(frames)
        size: Optional[tuple[int, int]] = None
        for index, number in enumerate(frames):
            image, scale = scaled_frame(images[index], CLIP_PANEL)
            size = size or (image.shape[1], image.shape[0])
            visible = []
            for name, of_person in clip.positions.items():
                if number in of_person:
                    visible.append((results[name], of_person[number]))
            before = draw_people(image, scale, visible, self.body, 'before', PINK)
            pair = [('input', image), ('before', before)]
            if self.comparison.adapted:
                after = draw_people(image, scale, visible, self.body, 'after', BLUE)
                pair = [('before', before), ('after', after)]
            panels = [with_caption(letterbox(drawn, size), name) for name, drawn in pair]
            yield np.concatenate(panels, axis=0 if _is_wide(size) else 1)


def _is_wide(size: tuple[int, int]) -> bool:
    """Whether the two panels of a film are above each other, which shows wide images larger."""
    return size[0] > WIDE * size[1]


def _positions(
    clip: ClipPeople, shown: Mapping[str, list[int]], name: str, frames: SequenceOf[int]
) -> list[int]:
    """For some frames of the clip the index among the shown frames of a person; -1 where none is shown."""
    index_of = {clip.frames[name][t]: index for index, t in enumerate(shown[name])}
    return [index_of.get(frame, -1) for frame in frames]


def _video_text(comparison: Comparison, step: int, count: int, stacked: bool = False) -> str:
    before = f'{comparison.rows["before"]} (pink)'
    first, second = ('above', 'below') if stacked else ('left', 'right')
    if comparison.adapted:
        panels = f'{first}: {before}, {second}: {comparison.rows["after"]} (blue)'
    else:
        panels = f'{first}: input, {second}: the body of {before}'
    if step == 1:
        return f'{panels}; all {count} frames'
    ordinal = ORDINALS.get(step, f'{step}th')
    return f'{panels}; every {ordinal} of {count} frames'


def _plotted_errors(comparison: Comparison, record: Record) -> dict[str, dict[str, np.ndarray]]:
    """(F,) errors by name with unit and by role."""
    by_role = comparison.errors(record)
    plotted = {}
    for key in PLOTTED:
        if key in record.after:
            label = ', '.join(name_and_unit(key))
            plotted[label] = {role: errors[key] for role, errors in by_role.items()}
    return plotted


def _worst_frames(panels: Panels, comparison: Comparison, record: Record) -> list[WorstFrame]:
    """Images and errors of the frames with the largest errors."""
    key = main_error(record)
    name, unit = name_and_unit(key)
    shown = ('input', 'before', 'after', 'side') if comparison.adapted else ('input', 'before')
    worst = []
    for t in spaced_maxima(record.after[key], WORST_FRAMES):
        values = [
            f'{comparison.rows[role]} {errors[key][t]:.1f} {unit}'
            for role, errors in comparison.errors(record).items()
        ]
        frame_id = panels.sequence.frame_ids[t]
        text = f'Frame {t} ({frame_id}): {name} of {", ".join(values)}.'
        worst.append(WorstFrame(t, panels.row(t, shown), text, float(record.after[key][t])))
    return worst


def main_error(record: Record) -> str:
    """The error that ranks sequences and frames."""
    if 'mpjpe_mm' in record.after and np.isfinite(record.after['mpjpe_mm']).any():
        return 'mpjpe_mm'
    return 'reprojection_px'


def name_and_unit(key: str) -> tuple[str, str]:
    """Name and unit of an error in running text."""
    if key in NAMES:
        return NAMES[key]
    name, unit = COLUMNS[key].split('\n')
    return name, unit
