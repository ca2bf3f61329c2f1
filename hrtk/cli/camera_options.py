"""The arguments about the camera of footage, which several commands share."""

from __future__ import annotations

import argparse


def add_focal_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds ``--focal`` and ``--fov``."""
    parser.add_argument(
        '--focal',
        type=float,
        metavar='PX',
        help='focal length of the images, if you know it (default: their diagonal)',
    )
    parser.add_argument(
        '--fov',
        type=float,
        metavar='DEGREES',
        help='field of view along the longer side of the images, instead of --focal',
    )


def add_viewing_ray_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--no-viewing-ray``."""
    parser.add_argument(
        '--no-viewing-ray',
        dest='viewing_ray',
        action='store_false',
        help='leave bodies in the axes of their crops instead of turning them into the camera frame',
    )
