"""Processor time of ``hrtk infer`` on a clip of real video of 1080 x 1920 px.

    python benchmarks/infer_clip.py [--video data/real4/videos/cam01.mp4] [--frames 600]

The frames of the video are written forth and back until the clip is long enough. The rows are whole commands on one
thread, imports included: with detection and film; with detection, without the film; with the keypoints that the first
one found, without the film; and the same, adapted by TrackFit. The reference is the first row, the floor is decoding
the clip once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Optional

import cv2

sys.path.insert(0, str(Path(__file__).parent))

from measuring import best_ms, child_seconds, record, use_one_thread  # noqa: E402

ROOT = Path(__file__).parents[1]
VIDEO = 'data/real4/videos/cam01.mp4'
FITTED = 'track_fit/lifter_wild'


def main(arguments: Optional[list[str]] = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--video', default=VIDEO, help='whose frames are used (%(default)s)')
    parser.add_argument('--frames', type=int, default=600, help='of the clip (%(default)s)')
    args = parser.parse_args(arguments)
    use_one_thread()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_clip(args.video, folder / 'clip.mp4', args.frames)
        found = folder / 'film' / 'keypoints.json'
        given = ('--no-film', '--keypoints', str(found))
        times = {
            'detection and film': infer(clip, folder / 'film'),
            'detection, no film': infer(clip, folder / 'bodies', '--no-film'),
            'keypoints given, no film': infer(clip, folder / 'given', *given),
            'the same with TrackFit': infer(clip, folder / 'fitted', *given, '--adapt', FITTED),
        }
        floor = best_ms(lambda: decode(clip), 1, warm_up=0) / 1000
    everything = times['detection and film']
    print(f'{args.frames} frames, CPU s; decoding alone {floor:.1f}')
    for row, seconds in times.items():
        record(
            f'infer, {args.frames} frames, {row}',
            seconds,
            everything,
            'detection and film',
            floor,
            's',
        )
        print(f'{row:<26}{seconds:8.1f}{everything / seconds:8.1f}')


def write_clip(video: str, path: Path, frames: int) -> Path:
    """A clip with the frames of a video, forth and back."""
    reader = cv2.VideoCapture(video)
    images = []
    while (step := reader.read())[0]:
        images.append(step[1])
    if not images:
        raise SystemExit(
            f'{video}: no frame can be read; docs/en/real4.md says how to get this video'
        )
    rate = reader.get(cv2.CAP_PROP_FPS)
    height, width = images[0].shape[:2]
    order = [*range(len(images)), *range(len(images) - 2, 0, -1)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, (width, height))
    for index in range(frames):
        writer.write(images[order[index % len(order)]])
    writer.release()
    return path


def infer(clip: Path, output: Path, *options: str) -> float:
    """User and system seconds of one command."""
    command = [sys.executable, str(ROOT / 'tools/infer.py'), str(clip), '--output', str(output)]
    return child_seconds([*command, *options], {**os.environ, 'OMP_NUM_THREADS': '1'})


def decode(clip: Path) -> None:
    """Decodes every frame."""
    reader = cv2.VideoCapture(str(clip))
    while reader.read()[0]:
        pass


if __name__ == '__main__':
    main()
