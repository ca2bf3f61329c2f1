"""Compact encodings of moving bodies, videos and images for a single HTML page."""

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

GRID = 0.001  # metres between neighbouring positions of a packed vertex
CODEC = 'vp09'  # VP9 in MP4: current browsers play it and OpenCV's wheels encode it, unlike H.264
CHUNK = 64  # frames
QUALITY_FLAGS = {'.webp': cv2.IMWRITE_WEBP_QUALITY, '.jpg': cv2.IMWRITE_JPEG_QUALITY}


class EncodedVideo(NamedTuple):
    """A video for a page: encoded, or as JPEG images if OpenCV has no codec that browsers play.

    Attributes:
        video: MP4, empty if there are ``images``.
        images: JPEG files, empty if there is a ``video``.
        fps: frames per second.
    """

    video: bytes
    images: tuple[bytes, ...]
    fps: float


@torch.no_grad()
def pelvis_meshes(body: BodyModel, rotmat: Any, betas: Any) -> np.ndarray:
    """Poses bodies with the pelvis at the origin and y up; a body that faces the camera looks along +z.

    Args:
        body: the body model.
        rotmat: (F, 24, 3, 3), ``global_orient`` in the camera frame first.
        betas: (F, 10).

    Returns:
        (F, V, 3) float32 metres.
    """
    chunks = []
    for start in range(0, len(rotmat), CHUNK):
        frames = slice(start, start + CHUNK)
        chunk_rotmat = torch.as_tensor(rotmat[frames]).to(body.template)
        chunk_betas = torch.as_tensor(betas[frames]).to(body.template)
        output = body(chunk_rotmat, chunk_betas)
        chunks.append((output.vertices - output.joints[:, :1]).cpu())
    return (torch.cat(chunks) * torch.tensor([1.0, -1, -1])).float().numpy()


def pack_meshes(meshes: np.ndarray | Tensor) -> str:
    """Packs moving vertices: rounded to 1 mm, as differences between frames, compressed, base64.

    Slow motion has small differences, which compress to about half a byte per coordinate.

    Args:
        meshes: (F, V, 3) metres, within 32 m of the origin.

    Returns:
        gzip, in base64, of the F * V * 3 low bytes of int16 differences, followed by as many high bytes.

    Raises:
        InputError: a coordinate is not finite or too far from the origin.
    """
    values = np.asarray(meshes, np.float64)
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > 32767 * GRID:
        raise InputError(
            'a mesh holds coordinates that are not finite or more than 32 m from the origin; its result '
            'is damaged'
        )
    positions = np.rint(values / GRID).astype(np.int16)
    steps = np.diff(positions, axis=0, prepend=np.zeros_like(positions[:1]))
    step_bytes = steps.astype('<i2').reshape(-1, 1).view('u1')
    return compressed(np.ascontiguousarray(step_bytes.T).tobytes())


def compressed(data: bytes) -> str:
    """gzip, base64; equal bytes give equal text."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def encode_video(images: Iterable[np.ndarray], fps: float) -> EncodedVideo:
    """Encodes (H, W, 3) uint8 RGB images of one size as a video, or as images if the codec is missing."""
    if can_write_video(CODEC):
        with tempfile.TemporaryDirectory() as folder:
            path = write_video(Path(folder) / 'video.mp4', images, fps, CODEC)
            return EncodedVideo(path.read_bytes(), (), fps)
    jpegs = [encode_image(image, '.jpg') for image in images]
    return EncodedVideo(b'', tuple(jpegs), fps)


def encode_image(image: np.ndarray, suffix: str = '.webp', quality: int = 82) -> bytes:
    """Encodes (H, W, 3) uint8 RGB as WebP or JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(suffix, bgr, [QUALITY_FLAGS[suffix], quality])
    if not ok:
        raise InputError(
            f'this OpenCV cannot encode {suffix} images; install an opencv-python wheel'
        )
    return data.tobytes()


def data_url(media_type: str, data: bytes) -> str:
    """``data:<media type>;base64,...``."""
    return f'data:{media_type};base64,{base64.b64encode(data).decode()}'
