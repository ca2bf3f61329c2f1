"""The people of a clip together: which tracks it has, and where their bodies, the floor and the camera are."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Mapping
from typing import Sequence as SequenceOf

from hrtk.apis.look.still_camera import clip_shifts
from hrtk.body_models import BodyModel
from hrtk.datasets import VideoDataset
from hrtk.evaluation.calibrated import crop_rotations
from hrtk.evaluation.protocols import Protocol
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.export import Placing
from hrtk.visualization.export.ground import clip_of
from hrtk.visualization.stage import StagedPeople, stage_people


@dataclasses.dataclass(frozen=True)
class ClipPeople:
    """The tracks of one clip.

    Attributes:
        name: of the clip.
        frames: the frames of the clip that each track has, ascending, by its name.
    """

    name: str
    frames: dict[str, SequenceOf[int]]

    @functools.cached_property
    def positions(self) -> dict[str, dict[int, int]]:
        """For every track the position of each frame of the clip."""
        return {
            name: {frame: t for t, frame in enumerate(frames)}
            for name, frames in self.frames.items()
        }

    def span(self, names: SequenceOf[str]) -> int:
        """The number of frames between the first and the last one of some tracks, both included."""
        first = min(self.frames[name][0] for name in names)
        last = max(self.frames[name][-1] for name in names)
        return last - first + 1

    def shown(self, name: str, step: int, names: SequenceOf[str]) -> list[int]:
        """Positions in a track of every ``step``-th frame of the clip, counted from the first one of some tracks.

        A track that is shorter than a step has its first frame.
        """
        first = min(self.frames[other][0] for other in names)
        shown = [t for t, frame in enumerate(self.frames[name]) if (frame - first) % step == 0]
        return shown or [0]


def clips_of(dataset: Any, results: Mapping[str, Result]) -> list[ClipPeople]:
    """The clips of a data set with their tracks; sequences that are not of own clips are clips of one track.

    Args:
        dataset: of any class.
        results: of its sequences, by name.
    """
    if isinstance(dataset, VideoDataset) and not dataset.photographs:
        clips: dict[str, dict[str, SequenceOf[int]]] = {}
        for track in dataset.tracks:
            clips.setdefault(clip_of(track.name), {})[track.name] = track.frames
        return [ClipPeople(name, frames) for name, frames in clips.items()]
    return [ClipPeople(name, {name: range(len(result))}) for name, result in results.items()]


def stage_clip(
    dataset: Any,
    sequence: Sequence,
    results: Mapping[str, Result],
    adapted: bool,
    body: BodyModel,
    placing: Placing,
    protocol: Protocol,
) -> StagedPeople:
    """Places the people of a clip in its world.

    Beside a ground truth bodies are turned by the viewing ray only where the protocol turns them.

    Args:
        dataset: which the clip is of; the camera of own footage is examined for motion.
        sequence: any track of the clip.
        results: of all of its tracks, by name.
        adapted: whether there is a row ``'after'``.
        body: the body model of the results.
        placing: options.
        protocol: of the errors.
    """
    shifts = {}
    if isinstance(dataset, VideoDataset) and not dataset.photographs:
        shifts = clip_shifts(dataset, clip_of(sequence.name))
    if sequence.truth is not None:
        turned = crop_rotations(protocol, sequence.boxes, sequence) is not None
        placing = dataclasses.replace(placing, viewing_ray=turned)
    return stage_people(results, adapted, body, placing, shifts)
