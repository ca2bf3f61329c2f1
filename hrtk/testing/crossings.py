"""Simulated people who cross each other, and how well a tracker tells them apart.

Two people of the bundled motion capture walk through an image. They meet in the middle: they pass each other, one
overtakes the other, one pauses, one or both turn back, or they come nearer and go away. Near the meeting the detector
sees everything, or loses the person behind, or some or all keypoints of that person, or both people. Clothes are
colours drawn at random, in a quarter of the cases the same for both; the pixels carry noise, changing light and
background.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from hrtk.body_models import BodyModel
from hrtk.body_models.person_similarity import iou, oks_sigmas, similarity
from hrtk.datasets.motion import load_motion
from hrtk.datasets.own.identities.appearance import BONES, Appearance, describe
from hrtk.geometry.assignment import best_pairs
from hrtk.geometry.boxes import boxes_from_keypoints
from hrtk.geometry.rotation import axis_angle_to_rotmat

SKELETON = 'coco17'
FPS = 30
FRAMES = 120
MOTIONS = ('pass', 'overtake', 'pause', 'turn back', 'nearer')
VIEWS = ('all seen', 'one lost', 'one partly', 'one wrong', 'both lost')
CLIPS = 6  # of walking, from which gaits are drawn
ERROR = 0.01  # standard deviation of a keypoint, body heights
MISSED = 0.02  # share of people whom the detector overlooks anywhere
WIDTH = 0.28  # body heights between two people at which one hides the other
SAME_CLOTHES = 0.25
# Of the plain tracker.
LEAST_SIMILARITY = 0.2
STEADINESS = 0.5  # weight of the velocity so far beside that of the last frame
# Clothes, and skin and hair, RGB.
CLOTHES = np.array(
    [
        (25, 25, 28),
        (60, 62, 66),
        (128, 128, 130),
        (225, 225, 222),
        (35, 45, 80),
        (70, 95, 140),
        (150, 40, 40),
        (50, 95, 60),
        (180, 160, 125),
        (95, 70, 50),
        (200, 170, 60),
        (190, 120, 140),
    ],
    float,
)
SKIN = np.array([(225, 185, 160), (190, 140, 110), (120, 80, 60), (80, 55, 40)], float)
PIXELS = 60  # of each region


@dataclasses.dataclass(frozen=True)
class Crossing:
    """Two people who cross, as detected; N people in all frames together.

    Attributes:
        motion: of :data:`MOTIONS`.
        view: of :data:`VIEWS`.
        frames: (N,) frame numbers.
        truth: (N,) 0 or 1, who it is.
        points: (N, 17, 3) float32 x, y in px and confidence.
        boxes: (N, 3) float32 ``[cx, cy, side]``, px.
        clothes: (2, 6, 3) RGB of the regions of both people.
        seed: of the pixels.
    """

    motion: str
    view: str
    frames: np.ndarray
    truth: np.ndarray
    points: np.ndarray
    boxes: np.ndarray
    clothes: np.ndarray
    seed: int

    @property
    def same(self) -> bool:
        """Whether both wear the same."""
        return bool((self.clothes[0] == self.clothes[1]).all())

    def look(self, row: int) -> Appearance:
        """What the person of a row looks like: noisy pixels, a sixth of them of the background."""
        rng = np.random.default_rng([self.seed, row])
        light = rng.normal(1, 0.08)
        pixels = []
        for region in range(len(BONES)):
            colours = np.tile(self.clothes[self.truth[row], region], (PIXELS, 1))
            background = rng.random(len(colours)) < 1 / 6
            colours[background] = rng.uniform(30, 220, 3)
            noisy = light * colours + rng.normal(0, 18, colours.shape)
            pixels.append(noisy.clip(0, 255).astype(np.uint8))
        return describe(pixels)


@dataclasses.dataclass(frozen=True)
class Score:
    """How well identities were kept in a crossing.

    Attributes:
        exchanged: whether an identity is one person at the beginning and the other one at the end.
        fragments: number of identities above that of the people.
        idf1: share of the people who have the identity of the best one-to-one match (Ristani et al., *Performance
            Measures and a Data Set for Multi-target, Multi-camera Tracking*, 2016); without wrong detections precision
            and recall are the same.
        association: AssA, the part of HOTA about identities (Luiten et al., IJCV 2021, equation 20).
    """

    exchanged: bool
    fragments: int
    idf1: float
    association: float


def simulate(per_kind: int, seed: int = 0) -> Iterator[Crossing]:
    """Draws crossings of every motion in every view.

    Args:
        per_kind: number of crossings of each of the 25 kinds.
        seed: of the random numbers.
    """
    for motion in MOTIONS:
        for view in VIEWS:
            for number in range(per_kind):
                key = [seed, MOTIONS.index(motion), VIEWS.index(view), number]
                yield _crossing(np.random.default_rng(key), motion, view)


def score(crossing_truth: np.ndarray, frames: np.ndarray, found: np.ndarray) -> Score:
    """Compares identities with the truth.

    Args:
        crossing_truth: (N,) the person of every row.
        frames: (N,) frame numbers.
        found: (N,) the identity of every row.
    """
    from scipy.optimize import linear_sum_assignment

    people, truth = np.unique(crossing_truth, return_inverse=True)
    names, name = np.unique(found, return_inverse=True)
    counts = np.zeros((len(people), len(names)))
    np.add.at(counts, (truth, name), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    union = counts.sum(1)[:, None] + counts.sum(0) - counts
    firsts = []
    lasts = []
    for person in range(len(people)):
        own = name[truth == person][np.argsort(frames[truth == person], kind='stable')]
        firsts.append(int(np.bincount(own[:10]).argmax()))
        lasts.append(int(np.bincount(own[-10:]).argmax()))
    exchanged = False
    for person, last in enumerate(lasts):
        others = firsts[:person] + firsts[person + 1 :]
        exchanged = exchanged or (last in others and last != firsts[person])
    return Score(
        exchanged,
        len(names) - len(people),
        float(counts[rows, columns].sum() / len(truth)),
        float((counts / union)[truth, name].mean()),
    )


def similarity_tracker(
    crossing: Any, keypoints: bool, moving: bool, max_gap: int = 10
) -> np.ndarray:
    """A plain tracker to compare with: the Hungarian method on the similarity to the last appearance.

    Args:
        crossing: with ``frames``, ``points`` and ``boxes`` as of :class:`Crossing`.
        keypoints: whether the similarity is the mean of the boxes' overlap and OKS, instead of the overlap.
        moving: whether the last appearance is moved on at constant velocity.
        max_gap: frames in which a track may miss its person and still continue.

    Returns:
        (N,) identities.
    """
    frames = crossing.frames
    sigmas = oks_sigmas(SKELETON)
    identities = np.full(len(frames), -1)
    last_rows: list[int] = []
    velocities: list[np.ndarray] = []
    for frame in np.unique(frames):
        rows = np.flatnonzero(frames == frame)
        active = [i for i, row in enumerate(last_rows) if frame - frames[row] <= max_gap + 1]
        last = np.array([last_rows[i] for i in active], int)
        steps = np.array([velocities[i] for i in active]).reshape(-1, 2)
        moves = moving * steps * (frame - frames[last])[:, None]
        points = crossing.points[last].copy()
        points[..., :2] += moves[:, None]
        boxes = crossing.boxes[last].copy()
        boxes[:, :2] += moves
        scores = iou(boxes, crossing.boxes[rows])
        if keypoints:
            scores = similarity(points, boxes, crossing.points[rows], crossing.boxes[rows], sigmas)
        for old, new in best_pairs(scores):
            if scores[old, new] < LEAST_SIMILARITY:
                continue
            identity = active[old]
            row = rows[new]
            step = crossing.boxes[row, :2] - crossing.boxes[last[old], :2]
            step = step / (frame - frames[last[old]])
            velocities[identity] = STEADINESS * velocities[identity] + (1 - STEADINESS) * step
            identities[row] = identity
            last_rows[identity] = row
        for row in rows[identities[rows] < 0]:
            identities[row] = len(last_rows)
            last_rows.append(int(row))
            velocities.append(np.zeros(2))
    return identities


@functools.cache
def _gaits() -> list[np.ndarray]:
    """(F, 17, 3) joints of walking people about the pelvis, statures of about 1; x to the front, y down."""
    body = BodyModel()
    gaits = []
    clips = [clip for clip in load_motion('train') if clip.action == 'walking']
    for clip in [clip for clip in clips if len(clip) >= FRAMES][:CLIPS]:
        poses = torch.from_numpy(clip.poses[:FRAMES])
        with torch.no_grad():
            rotmat = axis_angle_to_rotmat(poses)
            joints = body.joints(rotmat, torch.zeros(FRAMES, 10), SKELETON).numpy()
        path = clip.transl[FRAMES - 1] - clip.transl[0]
        angle = np.arctan2(path[2], path[0])  # of the way, about the vertical axis
        cos, sin = np.cos(angle), np.sin(angle)
        x = cos * joints[..., 0] + sin * joints[..., 2]
        z = -sin * joints[..., 0] + cos * joints[..., 2]
        gaits.append(np.stack([x, -joints[..., 1], z], axis=-1) / 1.7)
    return gaits


def _crossing(rng: np.random.Generator, motion: str, view: str) -> Crossing:
    heights, middles = draw_ways(rng, motion)
    exact = np.empty((2, FRAMES, 17, 2))
    for person in range(2):
        gait = _gaits()[rng.integers(len(_gaits()))]
        direction = np.sign(np.diff(middles[person, :, 0], append=middles[person, -1, 0] + 1e-9))
        direction[direction == 0] = 1
        turned = np.where(direction < 0, -1.0, 1.0)[:, None]
        slant = rng.uniform(-0.5, 0.5)
        x = turned * gait[..., 0] + slant * gait[..., 2]
        local = np.stack([x, gait[..., 1]], axis=-1)
        exact[person] = middles[person][:, None] + heights[person][:, None, None] * local
    points, seen = draw_detections(rng, view, exact, heights, middles[..., 0])
    frames, truth, rows, boxes = as_rows(rng, points, seen)
    clothes = np.stack([_clothes(rng), _clothes(rng)])
    if rng.random() < SAME_CLOTHES:
        clothes[1] = clothes[0]
    seed = int(rng.integers(2**31))
    return Crossing(motion, view, frames, truth, rows, boxes, clothes, seed)


def as_rows(
    rng: np.random.Generator, points: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The detected people, in any order: (N,) frames, (N,) who it is, (N, 17, 3) keypoints and (N, 3) boxes."""
    frames, truth = np.nonzero(seen.T)
    shuffled = rng.permutation(len(frames))
    frames = frames[shuffled]
    truth = truth[shuffled]
    rows = points[truth, frames].astype(np.float32)
    boxes = boxes_from_keypoints(torch.from_numpy(rows[..., :2]), torch.from_numpy(rows[..., 2]))
    return frames, truth, rows, boxes.numpy()


def _clothes(rng: np.random.Generator) -> np.ndarray:
    """(6, 3) colours of trunk, upper and lower arms, thighs, shanks and head."""
    upper, lower = CLOTHES[rng.integers(len(CLOTHES), size=2)] + rng.normal(0, 8, (2, 3))
    skin = SKIN[rng.integers(len(SKIN))] + rng.normal(0, 8, 3)
    sleeves = upper if rng.random() < 0.5 else skin
    return np.stack([upper, upper, sleeves, lower, lower, skin])


def draw_ways(rng: np.random.Generator, motion: str) -> tuple[np.ndarray, np.ndarray]:
    """Where two people go who meet in the middle of an image of 1280 x 720.

    Args:
        rng: random numbers.
        motion: of :data:`MOTIONS`.

    Returns:
        (2, F) heights and (2, F, 2) places of the pelvis, px.
    """
    times = np.arange(FRAMES) / FPS
    meeting = rng.uniform(1.6, 2.4)
    height = rng.uniform(160, 400)
    sizes = np.array([1.0, rng.choice([rng.uniform(0.93, 1.0), rng.uniform(0.6, 0.93)])])
    rng.shuffle(sizes)
    heights = height * sizes[:, None] * np.ones(FRAMES)
    speeds = rng.uniform(0.5, 1.2, 2)  # heights / s
    away = times - meeting
    ways = np.stack([speeds[0] * away, -speeds[1] * away])
    if motion == 'overtake':
        ways[1] = speeds[0] * rng.uniform(1.4, 2.2) * away
    if motion == 'pause':
        pause = rng.uniform(0.4, 1.2)
        begin = meeting + rng.uniform(-0.4, 0.1)
        waiting = np.clip(times - begin, 0, pause)
        ways[0] = speeds[0] * (away - waiting + max(meeting - begin, 0) * 0.5)
    if motion == 'turn back':
        who = rng.choice(3)  # the first, the second, or both
        turn = 0.15  # s, half of the time in which somebody turns
        bent = -np.sqrt(away**2 + turn**2) + turn
        if who in (0, 2):
            ways[0] = speeds[0] * bent
        if who in (1, 2):
            ways[1] = -speeds[1] * bent
    if motion == 'nearer':
        growth = rng.uniform(0.05, 0.2, 2) * rng.choice([-1, 1], 2)
        heights = heights * np.exp(growth[:, None] * away)
    ways = rng.choice([-1, 1]) * ways * height
    feet = 420 + 0.45 * (heights - height) + 0.04 * height * rng.normal(size=(2, 1))
    wobble = 0.01 * height * np.sin(2 * np.pi * (1.8 * times + rng.random((2, 1))))
    places = np.stack([640 + ways, feet - 0.55 * (heights - height) + wobble], axis=-1)
    return heights, places


def draw_detections(
    rng: np.random.Generator, view: str, exact: np.ndarray, heights: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a detector finds of two people.

    Args:
        rng: random numbers.
        view: of :data:`VIEWS`.
        exact: (2, F, 17, 2) px.
        heights: (2, F) px.
        x: (2, F) of the pelvis, px.

    Returns:
        (2, F, 17, 3) keypoints, and (2, F) bool, who is detected. The smaller person is behind.
    """
    behind = int(np.argmin(heights.mean(1)))
    front = 1 - behind
    error = ERROR * heights[..., None, None] * rng.normal(size=exact.shape)
    points = np.concatenate([exact + error, rng.uniform(0.5, 1, (2, FRAMES, 17, 1))], axis=-1)
    points[..., 2][rng.random((2, FRAMES, 17)) < 0.03] = 0
    seen = rng.random((2, FRAMES)) >= MISSED
    near = np.abs(x[0] - x[1]) < WIDTH * heights.mean(0)
    low, high = exact[front].min(1), exact[front].max(1)
    covered = ((exact[behind] > low[:, None]) & (exact[behind] < high[:, None])).all(-1)
    covered &= near[:, None]
    if view == 'one lost':
        seen[behind, near] = False
    if view == 'one partly':
        points[behind, covered, 2] = 0
        seen[behind] &= (points[behind, ..., 2] > 0).sum(1) >= 3
    if view == 'one wrong':
        pulled = points[behind, ..., :2] + rng.uniform(0.2, 1) * (exact[front] - exact[behind])
        pulled = pulled + 5 * ERROR * heights[behind][:, None, None] * rng.normal(size=pulled.shape)
        points[behind, covered, :2] = pulled[covered]
    if view == 'both lost':
        middle = int(np.abs(x[0] - x[1]).argmin())
        length = int(rng.integers(4, 16))
        seen[:, max(middle - length // 2, 0) : middle - length // 2 + length] = False
    return points, seen
