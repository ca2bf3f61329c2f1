"""Procedural clothes: the colour of every surface point, and the distance between cloth and skin.

Both are functions of the point's position on the body in its rest pose. Clothes therefore move with the body and need
no texture map; evaluated per pixel, hems and stripes are sharp on a coarse mesh.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hrtk.body_models.files import BodyData
from hrtk.body_models.skeletons import SMPL24

PALETTE = np.array(
    [
        [0.15, 0.3, 0.6],
        [0.6, 0.12, 0.12],
        [0.12, 0.12, 0.14],
        [0.85, 0.85, 0.82],
        [0.2, 0.4, 0.22],
        [0.45, 0.45, 0.48],
    ]
)
SHOE_THICKNESS = 0.008  # metres
HAIR_THICKNESS = 0.018  # metres


@dataclasses.dataclass(frozen=True)
class _Cloth:
    """Two colours and the pattern that mixes them.

    Attributes:
        colours: (2, 3) RGB in [0, 1].
        pattern: ``'plain'``, ``'stripes'``, ``'checks'`` or ``'blots'``.
        frequency: of stripes and checks, radians per metre.
        waves: (4, 8) random directions (rows 0 to 2) and phases (row 3) of the blots.
    """

    colours: np.ndarray
    pattern: str
    frequency: float
    waves: np.ndarray

    def colours_at(self, rest: np.ndarray) -> np.ndarray:
        """(N, 3) rest positions -> (N, 3) colours."""
        first, second = self.colours
        if self.pattern == 'plain':
            return np.broadcast_to(first, rest.shape)
        if self.pattern == 'stripes':
            mix = np.sin(rest[:, 1] * self.frequency) > 0
        elif self.pattern == 'checks':
            mix = np.sin(rest[:, 0] * self.frequency) * np.sin(rest[:, 1] * self.frequency) > 0
        else:
            blots = np.cos(rest @ self.waves[:3] + self.waves[3]).sum(1)
            mix = np.clip(0.5 + blots / 2.8, 0, 1)
        return first + np.asarray(mix, float)[:, None] * (second - first)


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """Positions on the body in its rest pose that hems are measured from, metres.

    Attributes:
        ankle, knee, pelvis, neck: heights.
        head: (3,) position of the head joint.
        elbow, wrist: distances from the body's plane of symmetry.
    """

    ankle: float
    knee: float
    pelvis: float
    neck: float
    head: np.ndarray
    elbow: float
    wrist: float

    @staticmethod
    def measure(data: BodyData) -> Landmarks:
        """The landmarks of a body."""
        joints = dict(zip(SMPL24, data.J_regressor @ data.v_template))
        return Landmarks(
            ankle=joints['left_ankle'][1],
            knee=joints['left_knee'][1],
            pelvis=joints['pelvis'][1],
            neck=joints['neck'][1],
            head=joints['head'],
            elbow=joints['left_elbow'][0],
            wrist=joints['left_wrist'][0],
        )


@dataclasses.dataclass(frozen=True)
class _Cut:
    """Where clothes end and how far they stand off the skin, metres.

    Attributes:
        sleeve: distance of the sleeves' ends from the body's plane of symmetry.
        hem: height of the trousers' lower end.
        top_thickness: of the top.
        bottom_thickness: of the trousers.
        waist: height at which the top meets the trousers.
    """

    sleeve: float
    hem: float
    top_thickness: float
    bottom_thickness: float
    waist: float

    @staticmethod
    def sample_studio(rng: np.random.Generator, landmarks: Landmarks) -> _Cut:
        """Short or long sleeves and short or long trousers."""
        return _Cut(
            sleeve=rng.choice([landmarks.elbow * 0.85, landmarks.wrist * 0.97]),
            hem=rng.choice([landmarks.ankle + 0.04, landmarks.knee + 0.08]),
            top_thickness=0.012,
            bottom_thickness=0.01,
            waist=landmarks.pelvis - 0.02,
        )

    @staticmethod
    def sample_any(rng: np.random.Generator, landmarks: Landmarks) -> _Cut:
        """Any length and thickness. The order of the arguments is the order of the draws."""
        return _Cut(
            sleeve=rng.uniform(landmarks.elbow * 0.6, landmarks.wrist),
            hem=rng.uniform(landmarks.ankle + 0.03, landmarks.knee + 0.2),
            top_thickness=rng.uniform(0.006, 0.025),
            bottom_thickness=rng.uniform(0.005, 0.02),
            waist=landmarks.pelvis + rng.uniform(-0.12, 0.06),
        )


@dataclasses.dataclass(frozen=True)
class Outfit:
    """Skin, hair, top, trousers and shoes of one person."""

    skin: np.ndarray
    hair: np.ndarray
    top: _Cloth
    bottom: _Cloth
    shoes: _Cloth
    cut: _Cut
    landmarks: Landmarks

    @staticmethod
    def sample(rng: np.random.Generator, landmarks: Landmarks, patterns: bool) -> Outfit:
        """Draws an outfit: any colour, weave and cut with ``patterns``, else the studio's plain palette."""
        skin = np.array([0.92, 0.72, 0.6]) * rng.uniform(0.35, 1)
        hair = np.array([0.25, 0.17, 0.1]) * rng.uniform(0.2, 2.2)
        top = _sample_cloth(rng, patterns)
        bottom = _sample_cloth(rng, patterns)
        shoes = _sample_cloth(rng, patterns)
        if patterns:
            cut = _Cut.sample_any(rng, landmarks)
        else:
            cut = _Cut.sample_studio(rng, landmarks)
        return Outfit(skin, hair, top, bottom, shoes, cut, landmarks)

    def regions(self, rest: np.ndarray, head: np.ndarray) -> list[np.ndarray]:
        """(N,) bool each for top, bottom, shoes and hair.

        Args:
            rest: (N, 3) rest positions.
            head: (N,) skinning weights of the head joint.
        """
        x = np.abs(rest[:, 0])
        y = rest[:, 1]
        z = rest[:, 2]
        cut = self.cut
        landmarks = self.landmarks
        on_head = head > 0.5
        top = (y > cut.waist) & (x < cut.sleeve) & (y < landmarks.neck - 0.01) & ~on_head
        shoes = y < landmarks.ankle + 0.03
        bottom = (y <= cut.waist) & (y > cut.hem) & (x < landmarks.elbow) & ~shoes
        crown = y > landmarks.head[1] + 0.11
        back_of_head = (z < landmarks.head[2] - 0.01) & (y > landmarks.head[1] - 0.02)
        hair = on_head & (crown | back_of_head)
        return [top, bottom, shoes, hair]

    def colours(self, rest: np.ndarray, head: np.ndarray) -> np.ndarray:
        """(N, 3) albedo in [0, 1] of surface points, see :meth:`regions`."""
        albedo = np.broadcast_to(self.skin, rest.shape).copy()
        top, bottom, shoes, hair = self.regions(rest, head)
        for region, cloth in ((top, self.top), (bottom, self.bottom), (shoes, self.shoes)):
            albedo[region] = cloth.colours_at(rest[region])
        albedo[hair] = self.hair
        return np.clip(albedo, 0, 1)

    def offsets(self, rest: np.ndarray, head: np.ndarray) -> np.ndarray:
        """(N,) distance of cloth and hair from the skin along the normal, metres, see :meth:`regions`."""
        thicknesses = (
            self.cut.top_thickness,
            self.cut.bottom_thickness,
            SHOE_THICKNESS,
            HAIR_THICKNESS,
        )
        offsets = np.zeros(len(rest))
        for region, thickness in zip(self.regions(rest, head), thicknesses):
            offsets[region] = thickness
        return offsets


def _sample_cloth(rng: np.random.Generator, patterns: bool) -> _Cloth:
    directions = rng.normal(size=(3, 8)) * 25
    phases = rng.uniform(0, 2 * np.pi, (1, 8))
    waves = np.concatenate([directions, phases])
    if patterns:
        pattern = str(rng.choice(['plain', 'stripes', 'checks', 'blots']))
        colours = rng.uniform(0, 1, (2, 3))
        return _Cloth(colours, pattern, rng.uniform(30, 90), waves)
    colour = np.clip(PALETTE[rng.integers(len(PALETTE))] * rng.uniform(0.8, 1.15), 0, 1)
    return _Cloth(np.stack([colour, colour]), 'plain', 1.0, waves)
