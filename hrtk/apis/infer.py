"""``infer``: bodies from a video, pictures or a webcam in one call."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, Iterable, Optional

import torch
from mmengine.config import Config
from rich.console import Console

from hrtk.apis.adaptation import adapt as run
from hrtk.apis.adaptation import load_config
from hrtk.apis.camera import record
from hrtk.apis.detect import detect
from hrtk.apis.look.exporting import FORMATS
from hrtk.apis.look.exporting import export as export_results
from hrtk.apis.look.scene import draw_scene
from hrtk.apis.look.stored import body_of
from hrtk.apis.zoo.building import model_config
from hrtk.datasets.own.footage import Footage
from hrtk.detectors.rtmlib import Detector, RTMLib
from hrtk.errors import InputError
from hrtk.registry import DATASETS

ALIASES = {'npz': 'amass'}


@dataclasses.dataclass(frozen=True)
class Inference:
    """What :func:`infer` made.

    Attributes:
        metrics: as of :func:`hrtk.apis.adapt`.
        results: folder with an npz per person, see ``docs/en/files.md``.
        overlay: film of everybody, or folder of pictures.
        exports: files for other programs.
        keypoints: the file of 2D keypoints that was used.
    """

    metrics: dict[str, float]
    results: Path
    overlay: Path
    exports: list[Path]
    keypoints: Path


def infer(
    footage: str | Path | int,
    keypoints: Optional[str | Path] = None,
    *,
    adapt: Optional[str | Path | dict | Config] = None,
    output: Optional[str | Path] = None,
    export: Iterable[str] = (),
    max_people: Optional[int] = None,
    device: Optional[str] = None,
    fps: Optional[float] = None,
    pose2d: str | Detector = 'balanced',
    seconds: Optional[float] = None,
    cfg_options: Optional[dict[str, Any]] = None,
) -> Inference:
    """Estimates, and if wanted adapts to, every person of some footage.

    Everything that is finished is kept: a killed call goes on where it was when it is made again.

    Args:
        footage: a video, a folder of pictures, one picture, or the index of a webcam, which is recorded first.
        keypoints: 2D keypoints of any layout of
            :func:`hrtk.datasets.own.keypoint_files.read_keypoints`; None finds them with ``pose2d``, frame by frame,
            and keeps them in ``<output>/keypoints.json``.
        adapt: an adapt config, of which only data set and protocol are replaced; None runs the bundled start model.
        output: folder of everything; default ``work_dirs/infer/<footage>``.
        export: formats of :func:`hrtk.apis.export`, and ``'npz'`` for ``'amass'``.
        max_people: keep the so many largest and longest tracks.
        device: ``'cpu'``, ``'cuda'``, ...; default a GPU if PyTorch sees one.
        fps: says that pictures are the frames of a film, and its frames per second; see
            :class:`~hrtk.datasets.own.video.VideoDataset`.
        pose2d: mode of rtmlib, see :class:`~hrtk.detectors.rtmlib.RTMLib`, or a detector of your own.
        seconds: how long to record a webcam; None for until Ctrl-C.
        cfg_options: replacements by dotted key, e.g. ``{'dataset.max_gap': 5, 'adapter.steps': 2}``.

    Raises:
        InputError: a file or setting is wrong, there are no keypoints and rtmlib is not installed, or nobody is found.
    """
    formats = [ALIASES.get(name, name) for name in export]
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(
            f'there is no format {unknown[0]!r}; use {", ".join([*FORMATS, *ALIASES])}'
        )
    camera = _camera(footage)
    output = Path(
        output
        or Path('work_dirs/infer')
        / (f'camera{camera}' if camera is not None else Path(footage).stem)
    )
    device = _device(device)
    if camera is not None:
        if keypoints is not None:
            raise InputError(
                'keypoints of a recording that is not made yet cannot be in a file; record without '
                '--keypoints, or give the recording'
            )
        detector = _detector(pose2d, device)  # before anybody poses in vain
        footage, fps = _recording(camera, output / 'recording', seconds)
        keypoints = detect(Footage(footage), detector, output / 'keypoints.json')
    elif keypoints is None:
        found = Footage(footage)
        keypoints = detect(found, _detector(pose2d, device), output / 'keypoints.json')
    cfg = _config(footage, keypoints, adapt, max_people, fps, cfg_options)
    metrics = run(cfg, work_dir=output, device=device)
    results = output / 'results' / json.loads((output / 'metrics.json').read_text())['fingerprint']
    overlay = draw_scene(DATASETS.build(cfg.dataset), results, body_of(cfg.estimator), output)
    return Inference(
        metrics,
        results,
        overlay,
        export_results(results, formats) if formats else [],
        Path(keypoints),
    )


def _config(
    footage: str | Path,
    keypoints: str | Path,
    adapt: Optional[str | Path | dict | Config],
    max_people: Optional[int],
    fps: Optional[float],
    options: Optional[dict[str, Any]],
) -> Config:
    """An adapt config for the footage."""
    if adapt is None:
        cfg = Config(
            dict(
                estimator=dict(model_config('hmr_r18'), weights='open:r18_studio'),
                adapter=dict(type='Source'),
                outputs=dict(pictures=8, video=False),
            )
        )
    else:
        cfg = load_config(adapt)
    given, scored = cfg.get('dataset') or {}, cfg.get('evaluator') or {}
    cfg.dataset = dict(
        type='VideoDataset',
        images=str(footage),
        keypoints=str(keypoints),
        fps=fps,
        max_people=max_people,
        masks=given.get('masks'),
    )
    # Protocols of data sets are about ground truth, which own footage has none of.
    cfg.evaluator = dict(
        type='MeshEvaluator',
        protocol='open',
        silhouettes=isinstance(scored, dict) and scored.get('silhouettes', False),
    )
    return load_config(cfg, options)


def _camera(footage: str | Path | int) -> Optional[int]:
    """The index of a webcam, unless a file has that name."""
    named = (
        isinstance(footage, int)
        or re.fullmatch(r'\d+', str(footage))
        and not Path(footage).exists()
    )
    return int(footage) if named else None


def _recording(camera: int, folder: Path, seconds: Optional[float]) -> tuple[Path, float]:
    console = Console(soft_wrap=True)
    console.print(
        f'recording camera {camera} into {folder}' + ('; Ctrl-C ends it' if seconds is None else '')
    )
    count, fps = record(camera, folder, seconds)
    console.print(
        f'{count} pictures, {fps:.2f} per second; to process them again: '
        f'python tools/infer.py {folder} --fps {fps:.2f} --keypoints {folder.parent / "keypoints.json"}'
    )
    return folder, round(fps, 2)


def _detector(pose2d: str | Detector, device: Optional[str]) -> Detector:
    if not isinstance(pose2d, str):
        return pose2d
    return RTMLib(pose2d, device or ('cuda' if torch.cuda.is_available() else 'cpu'))


def _device(name: Optional[str]) -> Optional[str]:
    if name is None:
        return None
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f'the device {name!r} cannot be used here ({first}); use --device cpu'
        ) from error
    return name
