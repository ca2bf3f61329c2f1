"""Procedural clothes: the colour of every surface point, and how far cloth stands off the skin.

Everything is a function of the point's place on the body at rest, so clothes move with the body and need no texture
map. Evaluated per pixel, hems and stripes stay sharp on a coarse mesh.
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


@dataclasses.dataclass(frozen=True)
class _Cloth:
    """One piece: two colours and the pattern that mixes them."""

    colours: np.ndarray  # (2, 3)
    pattern: str
    frequency: float
    waves: np.ndarray  # (4, 8) random directions and phases of the blots

    def paint(self, rest: np.ndarray) -> np.ndarray:
        """(N, 3) rest positions -> (N, 3) colours."""
        if self.pattern == 'plain':
            return np.broadcast_to(self.colours[0], rest.shape)
        if self.pattern == 'stripes':
            mix = np.sin(rest[:, 1] * self.frequency) > 0
        elif self.pattern == 'checks':
            mix = np.sin(rest[:, 0] * self.frequency) * np.sin(rest[:, 1] * self.frequency) > 0
        else:
            mix = np.clip(0.5 + np.cos(rest @ self.waves[:3] + self.waves[3]).sum(1) / 2.8, 0, 1)
        return self.colours[0] + np.asarray(mix, float)[:, None] * (
            self.colours[1] - self.colours[0]
        )


@dataclasses.dataclass(frozen=True)
class Landmarks:
    """Heights and reaches of the body at rest, metres, which hems are measured from."""

    ankle: float
    knee: float
    pelvis: float
    neck: float
    head: np.ndarray  # (3,)
    elbow: float
    wrist: float

    @staticmethod
    def of(data: BodyData) -> Landmarks:
        """Measures a body."""
        joint = dict(zip(SMPL24, data.J_regressor @ data.v_template))
        return Landmarks(
            joint['left_ankle'][1],
            joint['left_knee'][1],
            joint['pelvis'][1],
            joint['neck'][1],
            joint['head'],
            joint['left_elbow'][0],
            joint['left_wrist'][0],
        )


@dataclasses.dataclass(frozen=True)
class Outfit:
    """Skin, hair, top, trousers and shoes of one person."""

    skin: np.ndarray
    hair: np.ndarray
    top: _Cloth
    bottom: _Cloth
    shoes: _Cloth
    sleeve: float
    waist: float
    hem: float
    thickness: tuple[float, float]
    marks: Landmarks

    @staticmethod
    def sample(rng: np.random.Generator, marks: Landmarks, patterns: bool) -> Outfit:
        """Draws an outfit; with ``patterns`` any colour and weave, else the studio's plain palette."""
        skin = np.array([0.92, 0.72, 0.6]) * rng.uniform(0.35, 1)
        hair = np.array([0.25, 0.17, 0.1]) * rng.uniform(0.2, 2.2)
        pieces = [_sample_cloth(rng, patterns) for _ in range(3)]
        sleeve = (
            rng.uniform(marks.elbow * 0.6, marks.wrist)
            if patterns
            else rng.choice([marks.elbow * 0.85, marks.wrist * 0.97])
        )
        hem = (
            rng.uniform(marks.ankle + 0.03, marks.knee + 0.2)
            if patterns
            else rng.choice([marks.ankle + 0.04, marks.knee + 0.08])
        )
        thickness = (
            (rng.uniform(0.006, 0.025), rng.uniform(0.005, 0.02)) if patterns else (0.012, 0.01)
        )
        waist = marks.pelvis + (rng.uniform(-0.12, 0.06) if patterns else -0.02)
        return Outfit(skin, hair, *pieces, sleeve, waist, hem, thickness, marks)

    def regions(self, rest: np.ndarray, head: np.ndarray) -> list[np.ndarray]:
        """Masks (N,) of top, bottom, shoes and hair for rest positions (N, 3) and head weights (N,)."""
        x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
        marks = self.marks
        on_head = head > 0.5
        top = (y > self.waist) & (x < self.sleeve) & (y < marks.neck - 0.01) & ~on_head
        shoes = y < marks.ankle + 0.03
        bottom = (y <= self.waist) & (y > self.hem) & (x < marks.elbow) & ~shoes
        hair = on_head & (
            (y > marks.head[1] + 0.11) | ((z < marks.head[2] - 0.01) & (y > marks.head[1] - 0.02))
        )
        return [top, bottom, shoes, hair]

    def colours(self, rest: np.ndarray, head: np.ndarray) -> np.ndarray:
        """(N, 3) albedo in [0, 1] of surface points."""
        out = np.broadcast_to(self.skin, rest.shape).copy()
        top, bottom, shoes, hair = self.regions(rest, head)
        for mask, piece in ((top, self.top), (bottom, self.bottom), (shoes, self.shoes)):
            out[mask] = piece.paint(rest[mask])
        out[hair] = self.hair
        return np.clip(out, 0, 1)

    def offsets(self, rest: np.ndarray, head: np.ndarray) -> np.ndarray:
        """(V,) metres that cloth and hair stand off the skin along the normal."""
        out = np.zeros(len(rest))
        for mask, value in zip(self.regions(rest, head), (*self.thickness, 0.008, 0.018)):
            out[mask] = value
        return out


def _sample_cloth(rng: np.random.Generator, patterns: bool) -> _Cloth:
    waves = np.concatenate([rng.normal(size=(3, 8)) * 25, rng.uniform(0, 2 * np.pi, (1, 8))])
    if patterns:
        pattern = rng.choice(['plain', 'stripes', 'checks', 'blots'])
        return _Cloth(rng.uniform(0, 1, (2, 3)), str(pattern), rng.uniform(30, 90), waves)
    colour = np.clip(PALETTE[rng.integers(len(PALETTE))] * rng.uniform(0.8, 1.15), 0, 1)
    return _Cloth(np.stack([colour, colour]), 'plain', 1.0, waves)
