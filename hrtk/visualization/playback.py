"""Moving bodies and films in the few bytes that one HTML page can hold."""

from __future__ import annotations

import base64
import gzip
import tempfile
from pathlib import Path
from typing import Any, Iterable, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.visualization.video import can_write_video, write_video

GRID = 0.001  # metres between neighbouring places that a packed vertex can have
CODEC = 'vp09'  # VP9 in MP4: every current browser plays it, and OpenCV's wheels encode it (H.264 they do not)
CHUNK = 64


class Film(NamedTuple):
    """A film for a page: encoded, or where OpenCV has no codec that browsers play, JPEG pictures one by one."""

    video: bytes
    pictures: tuple[bytes, ...]
    fps: float


@torch.no_grad()
def pelvis_meshes(body: BodyModel, rotmat: Any, betas: Any) -> np.ndarray:
    """Bodies that all have their pelvis at the origin, y up, looking along +z if they face the camera.

    Args:
        body: the body model.
        rotmat: (F, 24, 3, 3), ``global_orient`` in the camera frame first.
        betas: (F, 10).

    Returns:
        (F, V, 3) float32 metres.
    """
    parts = []
    for start in range(0, len(rotmat), CHUNK):
        part = (
            torch.as_tensor(x[start : start + CHUNK]).to(body.template) for x in (rotmat, betas)
        )
        output = body(*part)
        parts.append((output.vertices - output.joints[:, :1]).cpu())
    return (torch.cat(parts) * torch.tensor([1.0, -1, -1])).float().numpy()


def pack_meshes(meshes: np.ndarray | Tensor) -> str:
    """Packs moving vertices: on a grid of 1 mm, as differences from frame to frame, compressed, base64.

    Slow motion has small differences, of which compression leaves about half a byte per number.

    Args:
        meshes: (F, V, 3) metres, within 32 m of the origin.

    Returns:
        Text of gzip of F * V * 3 low bytes, then as many high ones, of int16 differences.

    Raises:
        InputError: a number is not finite, or lies too far away.
    """
    values = np.asarray(meshes, np.float64)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > 32767 * GRID:
        raise InputError(
            'a mesh holds numbers that are not finite or lie more than 32 m away; its result is damaged'
        )
    places = np.rint(values / GRID).astype(np.int16)
    steps = np.diff(places, axis=0, prepend=np.zeros_like(places[:1])).astype('<i2').reshape(-1, 1)
    return compressed(np.ascontiguousarray(steps.view('u1').T).tobytes())


def compressed(data: bytes) -> str:
    """gzip, base64; equal bytes give equal text."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def encode_film(pictures: Iterable[np.ndarray], fps: float) -> Film:
    """Encodes (H, W, 3) uint8 RGB pictures of one size as something that browsers play."""
    if can_write_video(CODEC):
        with tempfile.TemporaryDirectory() as folder:
            path = write_video(Path(folder) / 'film.mp4', pictures, fps, CODEC)
            return Film(path.read_bytes(), (), fps)
    return Film(b'', tuple(encode_picture(picture, '.jpg') for picture in pictures), fps)


def encode_picture(picture: np.ndarray, ending: str = '.webp', quality: int = 82) -> bytes:
    """Encodes (H, W, 3) uint8 RGB as WebP or JPEG."""
    kind = {'.webp': cv2.IMWRITE_WEBP_QUALITY, '.jpg': cv2.IMWRITE_JPEG_QUALITY}[ending]
    ok, data = cv2.imencode(ending, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [kind, quality])
    if not ok:
        raise InputError(
            f'this OpenCV cannot encode {ending} pictures; install an opencv-python wheel'
        )
    return data.tobytes()


def data_url(kind: str, data: bytes) -> str:
    """``data:<kind>;base64,...``."""
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'
