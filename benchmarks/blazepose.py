"""BlazePose: time, 2D error against annotations, masks, the size of people who are found, and MediaPipe's own output.

    python benchmarks/blazepose.py speed
    python benchmarks/blazepose.py keypoints COCO.json IMAGES [--passes 2] [--tiles 1]
    python benchmarks/blazepose.py masks MASKS IMAGES
    python benchmarks/blazepose.py sizes IMAGE
    python benchmarks/blazepose.py clip VIDEO MEDIAPIPE.npz [--step 4]

``keypoints`` compares with the points of a COCO file that are marked visible, one person per image; the share is that
of the longer side of the annotated box. ``masks`` are PNG files named after the images. ``sizes`` shrinks the image of
one person on a grey canvas. ``clip`` compares every ``step``-th frame with stored landmarks of MediaPipe in picture
mode, ``static_xy`` (F, 33, 2) px and ``static_world`` (F, 33, 3) metres: alone, and followed from frame to frame.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
import torch
from measuring import floor_ms, record

from hrtk.body_models.skeletons import index_map
from hrtk.geometry.regions import crop_regions
from hrtk.models.blazepose import BlazePose, Person

COCO = list(index_map('blazepose33', 'coco17'))
CANVAS = (1080, 1920)


def read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def cpu_ms(call: Callable[[], object], repeat: int = 20) -> float:
    """Median processor time of a call in ms."""
    times = []
    for _ in range(repeat + 3):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times[3:]))


@torch.inference_mode()
def speed(args: argparse.Namespace) -> None:
    """Prints the times of the parts on random images."""
    network = BlazePose()
    layout = torch.channels_last
    image = np.random.default_rng(0).integers(0, 256, (1920, 1080, 3), dtype=np.uint8)
    region = torch.tensor([[540.0, 960.0, 1500.0, 0.3]])
    small = torch.rand(1, 3, 224, 224).contiguous(memory_format=layout)
    crop = torch.rand(1, 3, 256, 256).contiguous(memory_format=layout)
    landmarks = network.landmark_network
    parts = {
        'detector': lambda: network.detector(small),
        'landmarks': lambda: landmarks(crop),
        'landmarks, heat maps': lambda: landmarks(crop, heatmap=True),
        'landmarks, heat maps and mask': lambda: landmarks(crop, heatmap=True, mask=True),
        'trunk': lambda: landmarks.trunk(crop),
        'crop of 1500 px to 256': lambda: crop_regions(image, region, 256),
        'detect(), with crop and suppression': lambda: network.detect(image),
        'one look, with crop and decoding': lambda: network.look_once(image, region, False),
    }
    for name, call in parts.items():
        spent = cpu_ms(call, args.repeat)
        record(f'BlazePose, {name}', spent, floor=floor_ms(call) or None)
        print(f'{name:38} {spent:6.1f} ms')


def annotated(path: Path, images: Path) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Images, keypoints (17, 3) and the longer side of the box of a COCO file."""
    content = json.loads(path.read_text())
    names = {image['id']: Path(image['file_name']).name for image in content['images']}
    for entry in content['annotations']:
        points = np.array(entry['keypoints'], float).reshape(17, 3)
        yield read(images / names[entry['image_id']]), points, max(entry['bbox'][2:])


def keypoints(args: argparse.Namespace) -> None:
    """Prints the 2D error against annotations."""
    network = BlazePose(passes=args.passes, tiles=args.tiles)
    errors = []
    shares = []
    for image, points, size in annotated(args.annotations, args.images):
        people = network(image)
        seen = points[:, 2] > 0
        found = [person.landmarks[COCO, :2].numpy() for person in people]
        distances = [np.linalg.norm(xy - points[:, :2], axis=1)[seen] for xy in found]
        best = min(distances, key=np.mean)
        errors.append(best.mean())
        shares.append(best / size)
        print(f'{len(people)} people, {best.mean():.1f} px, {100 * best.mean() / size:.2f} %')
    everything = np.concatenate(shares)
    mean = np.mean([share.mean() for share in shares])
    print(f'{len(errors)} images: {np.mean(errors):.2f} px, {100 * mean:.2f} % of the box')
    for limit in (0.05, 0.1):
        print(f'PCK at {limit} of the box: {100 * (everything < limit).mean():.1f} %')


def masks(args: argparse.Namespace) -> None:
    """Prints the overlap with drawn masks."""
    network = BlazePose()
    overlaps = []
    for path in sorted(args.masks.glob('*.png')):
        image = read(next(args.images.glob(f'{path.stem}.*')))
        wanted = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 127
        person = network(image, masks=True)[0]
        found = person.image_mask(*image.shape[:2]).numpy() > 0.5
        overlaps.append((found & wanted).sum() / (found | wanted).sum())
        print(f'{path.stem}: {overlaps[-1]:.3f}')
    print(f'mean IoU {np.mean(overlaps):.3f}')


def sizes(args: argparse.Namespace) -> None:
    """Prints with how many tiles a person of a height is found."""
    image = read(args.image)
    person = BlazePose()(image)[0]
    height = float(np.ptp(person.landmarks[:, 1].numpy()))
    networks = {tiles: BlazePose(tiles=tiles) for tiles in (1, 2, 3, 4)}
    print('height px', 'share of the longer side', *(f'tiles={tiles}' for tiles in networks))
    for wanted in (800, 600, 500, 400, 300, 250, 200, 150, 100):
        scale = wanted / height
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        canvas = np.full((*CANVAS, 3), 127, np.uint8)
        left = (CANVAS[1] - small.shape[1]) // 2
        small = small[: CANVAS[0], max(-left, 0) : CANVAS[1] + max(-left, 0)]
        left = max(left, 0)
        canvas[: small.shape[0], left : left + small.shape[1]] = small
        counts = [len(network(canvas)) for network in networks.values()]
        print(f'{wanted:9} {wanted / max(CANVAS):24.2f}', *(f'{count:7}' for count in counts))


def clip(args: argparse.Namespace) -> None:
    """Prints how far landmarks are from those of MediaPipe."""
    network = BlazePose(passes=args.passes)
    stored = np.load(args.stored)
    wanted = dict(xy=stored['static_xy'], world=stored['static_world'])
    video = cv2.VideoCapture(str(args.video))
    followed: list[Person | None] = [None]
    distances: dict[str, list[np.ndarray]] = {'alone': [], 'followed': []}
    detections = 0
    for number in range(len(wanted['xy'])):
        image = cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB)
        if followed[0] is None:
            followed = list(network(image)[:1]) or [None]
            detections += 1
        else:
            followed = network.follow(image, followed)
        if number % args.step:
            continue
        people = dict(alone=(network(image) or [None])[0], followed=followed[0])
        for name, person in people.items():
            if person is not None:
                distances[name].append(_distance(person, wanted, number))
    print(f'{args.video.name}: frames that needed the detector while following: {detections}')
    for name, values in distances.items():
        px, mm = np.array(values).transpose(1, 0, 2)
        print(
            f'  {name}: {len(values)} frames, landmarks {np.median(px):.1f} px median, '
            f'{px.mean():.1f} mean; world {np.median(mm):.0f} mm median, {mm.mean():.0f} mean'
        )


def _distance(person: Person, wanted: dict[str, np.ndarray], number: int) -> np.ndarray:
    """(2, 33): px, and mm in 3D."""
    px = np.linalg.norm(person.landmarks[:, :2].numpy() - wanted['xy'][number], axis=1)
    mm = 1e3 * np.linalg.norm(person.world.numpy() - wanted['world'][number], axis=1)
    return np.stack([px, mm])


def main(arguments: Optional[list[str]] = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    layout = {
        speed: (),
        keypoints: ('annotations', 'images'),
        masks: ('masks', 'images'),
        sizes: ('image',),
        clip: ('video', 'stored'),
    }
    for run, names in layout.items():
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.set_defaults(run=run)
        for name in names:
            command.add_argument(name, type=Path)
        command.add_argument('--passes', type=int, default=2)
        command.add_argument('--tiles', type=int, default=1)
        command.add_argument('--step', type=int, default=4)
        command.add_argument('--repeat', type=int, default=20, help='calls that are timed')
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    args.run(args)


if __name__ == '__main__':
    main()
