"""People of a clip, found by BlazePose and followed from frame to frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
from torch import Tensor

from hrtk.body_models.person_similarity import oks_sigmas, similarity
from hrtk.errors import OptionError
from hrtk.geometry.assignment import best_pairs
from hrtk.geometry.regions import from_regions, to_regions
from hrtk.models.blazepose.people import SKELETON, People, Person
from hrtk.models.blazepose.pipeline import BlazePose
from hrtk.models.blazepose.regions import distinct, limit_turn, next_regions, plausible, within

DETECT_EVERY = 10  # frames
MIRROR_SECONDS = 0.15  # between two mirrored runs
TILES_SECONDS = 1.0  # between two looks at tiles
LOST_SECONDS = 0.5  # a person is looked for so long, and for at least LOST_FRAMES
LOST_FRAMES = 3
STEADINESS = 0.5  # weight of the velocity so far beside that of the last frame
LEAST_SIMILARITY = 0.2
# Somebody who was seen a moment ago is more likely to be seen now than somebody hidden behind, and moves on rather
# than stopping: what the similarity of the other case is worth less.
HIDDEN = 0.2
STOPPED = 0.1
KNOWN = 0.1  # distance of a detection's hips from those of a followed person, in sides, at which it is that person
ALIKE = 0.3  # logarithm of the ratio of the sides of regions of one person
SMALL_TILES = 2  # for those whom the whole image does not show
STATE_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class TrackedPerson:
    """One person of one frame.

    Attributes:
        track: the identity, 1, 2, ... in the order of first appearance.
        person: what the landmark network found.
        mirrored: (33, 3) x, y in px and visibility by the mirrored crop, see :meth:`BlazePose.look_mirrored`; None in
            frames without a mirrored run.
    """

    track: int
    person: Person
    mirrored: Optional[Tensor] = None


@dataclasses.dataclass(frozen=True)
class _Track:
    """What is remembered of a person.

    Attributes:
        track: identity.
        region: (4,) in which the person would be looked for if nothing moved.
        points: (33, 3) x, y in px and visibility, of the last frame in which the person was found.
        velocity: (2,) of the region's centre, px per frame.
        missed: number of frames since then in which the person was not found.
    """

    track: int
    region: Tensor
    points: Tensor
    velocity: Tensor
    missed: int = 0

    @property
    def predicted(self) -> Tensor:
        """(4,) the region in the next frame, at constant velocity."""
        centre = self.region[:2] + (self.missed + 1) * self.velocity
        return torch.cat([centre, self.region[2:]])

    def moved_points(self, region: Tensor) -> Tensor:
        """(33, 3) the points as they move along with the region."""
        places = to_regions(self.points[None, :, :2], self.region[None])
        xy = from_regions(places, region[None])[0]
        return torch.cat([xy, self.points[:, 2:]], dim=1)


class PeopleTracker:
    """Follows everybody through the frames of one clip; call it with one frame after the other.

    People are followed by the landmark network, which looks once where each of them is expected at constant velocity.
    The detector looks for others in the first frame, while somebody is lost or nobody is there, and in every
    ``detect_every``-th frame. It also looks at tiles in every ``tiles_every``-th frame, and in every
    ``detect_every``-th frame in which the whole image shows nobody. Where they show somebody whom the whole image does
    not show, it uses tiles from then on.

    The people that are found, each once, are matched to the tracks by the Hungarian method on boxes and OKS, so that
    people who cross keep their identities as far as place and motion tell. A person who is lost for more than half a
    second gets a new identity.

    Args:
        network: with its own ``tiles``, ``passes``, ``min_score`` and ``min_flag``.
        fps: frames per second.
        detect_every: number of frames.
        mirror_every: the mirrored crop is looked at in every so many-th frame; 0 for never, None for every 0.15
            seconds.
        tiles_every: tiles are looked at in every so many-th frame; 0 for never, None for once a second.

    Raises:
        InputError: a number is out of its range.
    """

    def __init__(
        self,
        network: BlazePose,
        fps: float,
        detect_every: int = DETECT_EVERY,
        mirror_every: Optional[int] = None,
        tiles_every: Optional[int] = None,
    ) -> None:
        if not fps > 0 or detect_every < 1:
            raise OptionError(
                f'PeopleTracker: fps and detect_every are above 0, not {fps!r} and {detect_every!r}'
            )
        if mirror_every is None:
            mirror_every = max(round(MIRROR_SECONDS * fps), 1)
        if tiles_every is None:
            tiles_every = max(round(TILES_SECONDS * fps), 1)
        if min(mirror_every, tiles_every) < 0:
            raise OptionError(
                f'PeopleTracker: mirror_every and tiles_every are at least 0, not {mirror_every!r} and {tiles_every!r}'
            )
        self.network = network
        self.fps = fps
        self.detect_every = detect_every
        self.mirror_every = mirror_every
        self.tiles_every = tiles_every
        self.max_missed = max(LOST_FRAMES, round(LOST_SECONDS * fps))
        self._sigmas = oks_sigmas(SKELETON)
        self._tracks: list[_Track] = []
        self._frame = 0  # number of the next frame
        self._last_track = 0
        self._tiles = network.tiles

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> list[TrackedPerson]:
        """Returns the people of the next frame (H, W, 3) uint8 RGB, in the order of their identities."""
        due = self._frame % self.detect_every == 0
        closer = self.tiles_every > 0 and self._frame % self.tiles_every == 0
        found = self._follow(image)
        if due or closer or found is None or len(found) < len(self._tracks):
            found = self._with_new(image, found, due, closer)
        matched = self._match(found)
        self._update(found, matched)
        people = self._output(image, found, matched)
        self._frame += 1
        return people

    def state(self) -> dict[str, Any]:
        """What is remembered, as numbers for json; a tracker with this state goes on exactly as this one."""
        tracks = []
        for track in self._tracks:
            tracks.append(
                dict(
                    track=track.track,
                    region=track.region.tolist(),
                    points=track.points.tolist(),
                    velocity=track.velocity.tolist(),
                    missed=track.missed,
                )
            )
        return dict(
            format=STATE_FORMAT,
            frame=self._frame,
            last_track=self._last_track,
            tiles=self._tiles,
            tracks=tracks,
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on after the frame in which another tracker had this :meth:`state`.

        Raises:
            ValueError: the state is of another version.
        """
        if state.get('format') != STATE_FORMAT:
            raise ValueError(f'state of format {state.get("format")!r}, expected {STATE_FORMAT}')
        self._frame = state['frame']
        self._last_track = state['last_track']
        self._tiles = state['tiles']
        self._tracks = []
        for entry in state['tracks']:
            self._tracks.append(
                _Track(
                    entry['track'],
                    torch.tensor(entry['region']),
                    torch.tensor(entry['points']),
                    torch.tensor(entry['velocity']),
                    entry['missed'],
                )
            )

    def _follow(self, image: np.ndarray) -> Optional[People]:
        """The people who are found where the tracks expect somebody, each once; None without tracks."""
        if not self._tracks:
            return None
        expected = torch.stack([track.predicted for track in self._tracks])
        found, accepted = self._look(image, expected)
        for index, track in enumerate(self._tracks):
            # Somebody who stopped suddenly is where he was.
            moves = track.velocity.norm() > KNOWN / 2 * track.region[2]
            if accepted[index] or track.missed or not moves:
                continue
            again, right = self._look(image, track.region[None])
            if right[0]:
                chosen = torch.arange(len(self._tracks)) == index
                found = found.replace(chosen, again)
                accepted[index] = True
        found = found.pick(accepted)
        return found.pick(distinct(found))

    def _look(self, image: np.ndarray, regions: Tensor) -> tuple[People, Tensor]:
        """People in regions (P, 4), and (P,) whether there is a person who has not jumped."""
        found = self.network.look_once(image, regions)
        near = plausible(regions, next_regions(found), 1 / self.fps, turn=False)
        return found, near & (found.flag >= self.network.min_flag)

    def _with_new(
        self, image: np.ndarray, found: Optional[People], due: bool, closer: bool
    ) -> Optional[People]:
        """Adds the people whom the detector finds."""
        everybody = self._with_detected(image, found, self._tiles)
        if self._tiles > 1 or not (closer or (due and not _count(everybody))):
            return everybody
        in_tiles = self._with_detected(image, everybody, SMALL_TILES)
        if _count(in_tiles) > _count(everybody):
            self._tiles = SMALL_TILES
        return in_tiles

    def _with_detected(
        self, image: np.ndarray, found: Optional[People], tiles: int
    ) -> Optional[People]:
        """Adds the people whom the detector finds in tiles of an image; None if there is nobody."""
        regions, _ = self.network.detect(image, tiles)
        if found is not None and len(found) > 0 and len(regions) > 0:
            hips = next_regions(found)
            distance = torch.cdist(regions[:, :2], hips[:, :2]) / hips[:, 2]
            regions = regions[(distance > KNOWN).all(1)]
        if len(regions) == 0:
            return found
        new = self.network.look(image, regions)
        new = new.pick(new.flag >= self.network.min_flag)
        if found is None:
            return new.pick(distinct(new))
        if tiles > 1:
            new = new.pick(~within(new, found) | self._is_missed(new))
        everybody = found.append(new)
        # People who are followed stay, whatever the flags.
        first = torch.arange(len(everybody)) < len(found)
        preferred = dataclasses.replace(everybody, flag=everybody.flag + first)
        return everybody.pick(distinct(preferred))

    def _is_missed(self, people: People) -> Tensor:
        """(P,) whether people are where somebody is expected who was not found."""
        missed = [track.predicted for track in self._tracks if track.missed]
        if not missed:
            return torch.zeros(len(people), dtype=torch.bool)
        expected = torch.stack(missed)
        regions = next_regions(people)
        distance = torch.cdist(regions[:, :2], expected[:, :2]) / expected[:, 2]
        alike = (regions[:, None, 2] / expected[:, 2]).log().abs() < ALIKE
        return ((distance < 2 * KNOWN) & alike).any(1)

    def _match(self, found: Optional[People]) -> list[Optional[_Track]]:
        """The track of every person who is found; None for newcomers."""
        if found is None:
            return []
        matched: list[Optional[_Track]] = [None] * len(found)
        if not self._tracks or not len(found):
            return matched
        points = _points(found)
        expected = [track.moved_points(track.predicted) for track in self._tracks]
        still = [track.points for track in self._tracks]
        moving = self._similarity(expected, points)
        scores = np.maximum(moving, self._similarity(still, points) - STOPPED)
        hidden = np.array([track.missed > 0 for track in self._tracks])
        preferred = scores - HIDDEN * hidden[:, None]
        for row, column in best_pairs(preferred):
            if scores[row, column] >= LEAST_SIMILARITY:
                matched[column] = self._tracks[row]
        return matched

    def _similarity(self, before: Sequence[Tensor], points: Tensor) -> np.ndarray:
        """(T, P) of people (33, 3) and P people (P, 33, 3)."""
        first = torch.stack(list(before)).numpy()
        second = points.numpy()
        return similarity(first, _boxes(first), second, _boxes(second), self._sigmas)

    def _update(self, found: Optional[People], matched: list[Optional[_Track]]) -> None:
        """Remembers where everybody is, and gives newcomers a track; ``matched`` has their tracks then."""
        seen = {track.track for track in matched if track is not None}
        tracks = []
        for track in self._tracks:
            if track.track not in seen and track.missed < self.max_missed:
                tracks.append(dataclasses.replace(track, missed=track.missed + 1))
        if found is not None and len(found):
            regions = next_regions(found)
            points = _points(found)
            for index, known in enumerate(matched):
                updated = self._updated(known, regions[index], points[index])
                matched[index] = updated
                tracks.append(updated)
        self._tracks = sorted(tracks, key=lambda track: track.track)

    def _updated(self, track: Optional[_Track], region: Tensor, points: Tensor) -> _Track:
        if track is None:
            self._last_track += 1
            return _Track(self._last_track, region, points, torch.zeros(2))
        frames = track.missed + 1
        region = limit_turn(track.region[None], region[None], frames / self.fps)[0]
        velocity = (region[:2] - track.region[:2]) / frames
        velocity = STEADINESS * track.velocity + (1 - STEADINESS) * velocity
        return _Track(track.track, region, points, velocity)

    def _output(
        self, image: np.ndarray, found: Optional[People], matched: list[Optional[_Track]]
    ) -> list[TrackedPerson]:
        if found is None or not len(found):
            return []
        mirrored: Sequence[Optional[Tensor]] = [None] * len(found)
        if self.mirror_every and self._frame % self.mirror_every == 0:
            other = self.network.look_mirrored(image, found.region)
            mirrored = list(_points(other))
        people = []
        for track, person, points in zip(matched, found.split(), mirrored):
            assert track is not None
            people.append(TrackedPerson(track.track, person, points))
        return sorted(people, key=lambda person: person.track)


def _points(people: People) -> Tensor:
    """(P, 33, 3) x, y in px and visibility."""
    return torch.cat([people.landmarks[..., :2], people.visibility[..., None]], dim=-1)


def _boxes(points: np.ndarray) -> np.ndarray:
    """(P, 3) squares about all landmarks (P, 33, 3), ``[cx, cy, side]`` px."""
    low = points[..., :2].min(1)
    high = points[..., :2].max(1)
    side = (high - low).max(1, keepdims=True)
    return np.concatenate([(low + high) / 2, side], axis=1)


def _count(people: Optional[People]) -> int:
    return 0 if people is None else len(people)
