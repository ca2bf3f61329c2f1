"""A tiny training of a video network."""

from __future__ import annotations

from pathlib import Path

import torch

from hrtk.training.video import VideoTraining

CONFIGS = Path(__file__).parents[2] / 'configs'
HEAD = dict(type='IterativeRegressor', hidden=8, dropout=0.0)
NETWORK = dict(type='VIBE', features=32, hidden=8, bidirectional=True, regressor=HEAD)
CRITIC = dict(type='MotionDiscriminator', hidden=8, attention=8, dropout=0.0)
MOTION = dict(type='MotionWindows', split='test', frames=6)
TRACKS = dict(type='OpenTracks', length=2, frames=8, resolution=32)
RATE = {'network': 1e-3, 'critic': 1e-2}
SGD = {name: dict(optimizer=dict(type='SGD', lr=rate)) for name, rate in RATE.items()}


def build(start, **options):
    torch.manual_seed(1)
    return VideoTraining(
        NETWORK, start, **{**dict(critic=CRITIC, motion=MOTION), **options}
    ).train()


def changes(before, after):
    return {
        name: value - dict(before.named_parameters())[name]
        for name, value in after.named_parameters()
    }
