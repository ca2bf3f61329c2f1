"""Videos whose frames carry their numbers, pictures, and people in them."""

import json

import numpy as np

BODY = np.random.default_rng(3).uniform(0, 1, (17, 2)) * (30, 80)
COUNT, BITS, BLOCK = 40, 6, 24


def numbered(t):
    """A picture whose top row of squares spells its number in bits, so that no codec can hide a wrong frame."""
    picture = np.full((120, 160, 3), 128, np.uint8)
    for bit in range(BITS):
        picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (t >> bit & 1)
    return picture


def number(picture):
    return sum(
        int(picture[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK].mean() > 128) << bit
        for bit in range(BITS)
    )


def person(x, y=20.0, scale=1.0, score=0.9):
    return [(BODY * scale + (x, y)).round(2).tolist(), [score] * 17]


def keypoints(path, frames):
    """Writes rtmlib's answers; frames: {frame number or picture: [person, ...]}."""
    entries = [
        {
            'image' if isinstance(key, str) else 'frame': key,
            'keypoints': [p[0] for p in people],
            'scores': [p[1] for p in people],
        }
        for key, people in frames.items()
    ]
    path.write_text(json.dumps(dict(frames=entries)))
    return path


def identified(path, frames):
    """Writes rtmlib's output with identities; frames: {image or frame number: {identity: x}}."""
    entries = []
    for key, people in frames.items():
        points = [person(x, scale=1 + 0.1 * (identity or 0)) for identity, x in people.items()]
        entries.append(
            {
                'image' if isinstance(key, str) else 'frame': key,
                'keypoints': [xy for xy, _ in points],
                'scores': [scores for _, scores in points],
                'persons': list(people),
            }
        )
    path.write_text(json.dumps(dict(frames=entries)))
    return path
