"""Frames that are read ahead in a thread, beside frames that are read when they are needed.

    python benchmarks/ahead.py

A video of 1080 x 1920 px is decoded, and every frame is cropped and followed by one step of r18: a forward pass, a
backward pass. Both ways take turns. Printed are wall milliseconds per frame, of each the best run, because the gain is
the time in which another core decodes. On a machine with one free core there is none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from measuring import record, use_one_thread  # noqa: E402

from hrtk.apis import load_model  # noqa: E402
from hrtk.datasets.ahead import FramesAhead  # noqa: E402
from hrtk.datasets.frames import VideoFrames  # noqa: E402
from hrtk.geometry.boxes import crop_image  # noqa: E402
from hrtk.structures import Frames  # noqa: E402

SIZE = (1080, 1920)  # width and height, px


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--repeat', type=int, default=5, help='runs of which the best counts')
    args = parser.parse_args(arguments)
    use_one_thread()
    step = step_of_r18()
    times: dict[str, list[float]] = {'needed': [], 'ahead': []}
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / 'clip.mp4', args.frames)
        for _ in range(args.repeat):
            times['needed'].append(ms_per_frame(VideoFrames(path, range(args.frames)), step))
            ahead = FramesAhead(VideoFrames(path, range(args.frames)))
            times['ahead'].append(ms_per_frame(ahead, step))
            ahead.close()
    needed = min(times['needed'])
    read_ahead = min(times['ahead'])
    record('1080p frames read ahead of a step of r18, wall', read_ahead, needed, 'read when needed')
    print(f'{args.frames} frames, wall ms per frame')
    print(f'read when needed {needed:8.1f}')
    print(f'read ahead       {read_ahead:8.1f}   ratio {needed / read_ahead:.2f}')


def ms_per_frame(frames: Frames, step: Callable[[np.ndarray], None]) -> float:
    """Wall milliseconds of reading and of the step."""
    start = time.perf_counter()
    for index in range(len(frames)):
        step(frames[index])
    return 1000 * (time.perf_counter() - start) / len(frames)


def step_of_r18() -> Callable[[np.ndarray], None]:
    """A crop of the middle of a frame, a forward and a backward pass."""
    model = load_model('r18_studio')
    width, height = SIZE
    box = torch.tensor([width / 2, height / 2, height])

    def step(image: np.ndarray) -> None:
        crop = crop_image(image, box, model.resolution)
        prediction = model(model.normalise(crop[None]))
        loss = prediction.rotmat.square().mean() + prediction.camera.square().mean()
        loss.backward()

    return step


def write_video(path: Path, frames: int) -> Path:
    """A video of a noisy picture that moves."""
    width, height = SIZE
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (height // 4 + frames, width // 4, 3), dtype=np.uint8)
    picture = cv2.resize(small, (width, height + 4 * frames), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 30, SIZE)
    for index in range(frames):
        writer.write(picture[4 * index : 4 * index + height])
    writer.release()
    return path


if __name__ == '__main__':
    main()
