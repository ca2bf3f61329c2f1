"""``infer``: bodies from a video, images or a webcam in one call."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Iterable, Optional

import torch
from mmengine.config import Config
from rich.console import Console

from hrtk.apis.adaptation import adapt_and_keep_data, load_config
from hrtk.apis.camera import record
from hrtk.apis.detect import detect
from hrtk.apis.doubts import report_doubts
from hrtk.apis.look.exporting import FORMATS, check_formats
from hrtk.apis.look.exporting import export as export_results
from hrtk.apis.look.scene import draw_scene
from hrtk.apis.look.stored import body_of
from hrtk.apis.zoo.building import image_networks, model_config
from hrtk.datasets.own.choosing import frame_range, parse_frame, parse_person
from hrtk.datasets.own.footage import Footage, open_footage
from hrtk.detectors import Detector, build_detector
from hrtk.errors import InputError, suggestion
from hrtk.evaluation.evidence import Doubts
from hrtk.geometry.camera import clip_focal
from hrtk.geometry.uploads import check_device
from hrtk.models.checkpoints import find_weights
from hrtk.models.estimators.hmr import PRECISIONS
from hrtk.reading import read_json
from hrtk.registry import ESTIMATORS

ALIASES = {'npz': 'amass'}
HMR2_ASPECT = 192 / 256  # of the part of the crop that the official HMR2 uses


@dataclasses.dataclass(frozen=True)
class Inference:
    """The output of :func:`infer`.

    Attributes:
        metrics: as of :func:`hrtk.apis.adapt`.
        results: folder with an npz per person, see ``docs/en/files.md``.
        overlay: video of all people, or folder of images; None without a film.
        exports: files for other programs.
        keypoints: the file of 2D keypoints that was used.
        doubts: what speaks against every track, by its name, see :mod:`hrtk.evaluation.evidence`.
    """

    metrics: dict[str, float]
    results: Path
    overlay: Optional[Path]
    exports: list[Path]
    keypoints: Path
    doubts: dict[str, Doubts] = dataclasses.field(default_factory=dict)


def infer(
    footage: str | Path | int,
    keypoints: Optional[str | Path] = None,
    *,
    adapt: Optional[str | Path | dict | Config] = None,
    model: Optional[str] = None,
    weights: Optional[str | Path] = None,
    output: Optional[str | Path] = None,
    export: Iterable[str] = (),
    max_people: Optional[int] = None,
    device: Optional[str] = None,
    fps: Optional[float] = None,
    pose2d: str | dict | Detector | Callable = 'blazepose',
    seconds: Optional[float] = None,
    focal: Optional[float] = None,
    fov: Optional[float] = None,
    repair_sides: bool = True,
    film: bool = True,
    person: int | str | None = None,
    begin: float | str | None = None,
    end: float | str | None = None,
    first_frame: Optional[int] = None,
    precision: Optional[str] = None,
    cfg_options: Optional[dict[str, Any]] = None,
) -> Inference:
    """Estimates the bodies of all people in some footage, with or without adaptation.

    Finished keypoints, results and overlays are stored: after an interruption the same call resumes.

    Args:
        footage: a video, a folder of images, one image, or the index of a webcam, which is recorded first.
        keypoints: 2D keypoints of any layout of
            :func:`hrtk.datasets.own.keypoint_files.read_keypoints`; None detects them with ``pose2d`` and stores them
            in ``<output>/keypoints.json``.
        adapt: an adapt config, of which only data set and protocol are replaced; None runs the bundled start model.
        model: an image network of :func:`hrtk.apis.build_model`, e.g. ``'hmr2'``, which takes the place of the start
            model, or of the network of ``adapt``; needs ``weights``.
        weights: a file of ``model``, or ``'open:<name>'``.
        output: folder of all files; default ``work_dirs/infer/<footage>``.
        export: formats of :func:`hrtk.apis.export`, and ``'npz'`` for ``'amass'``.
        max_people: the number of tracks, of which the largest and longest remain.
        device: ``'cpu'``, ``'cuda'``, ...; default a GPU if PyTorch finds one.
        fps: declares images to be the frames of a clip, of so many frames per second; see
            :class:`~hrtk.datasets.own.video.VideoDataset`.
        pose2d: the 2D detector: a registered name (``'blazepose'``, ``'blazepose:tiles=3'``, ``'rtmlib'``), a mode of
            rtmlib, a config or a :class:`~hrtk.detectors.Detector`; see :func:`hrtk.detectors.build_detector`.
        seconds: duration of a webcam's recording; None records until Ctrl-C.
        focal: focal length of the camera in px of the footage, if it is known. It is stored with the results and used
            by exports, reports and the viewer; a change computes nothing again, except with ``TrackFit``.
        fov: field of view along the longer side of the image, degrees, instead of ``focal``.
        repair_sides: whether left and right are put right where the detector exchanged them, see
            :class:`~hrtk.datasets.own.video.VideoDataset`.
        person: the only person whose body is estimated: the number in the names of results, or ``'largest'``.
        begin, end: the stretch of the footage that is used, from a time up to another: seconds, ``'00:01:03.5'``, or
            ``'f105'`` for a frame, counted from 0, see :func:`hrtk.datasets.own.choosing.frame_range`. Results keep the
            frame numbers of the whole footage.
        first_frame: number of the first frame of a video in the keypoint file; None finds out whether 0 or 1.
        film: whether the video of all people and the pictures and videos of each person are drawn.
        precision: ``'float32'`` or ``'bfloat16'``, the option of image networks such as
            :class:`~hrtk.models.estimators.HMR`; None leaves it as the config has it.
        cfg_options: replacements by dotted key, e.g. ``{'dataset.max_gap': 5, 'adapter.steps': 2}``.

    Raises:
        InputError: a file or setting is wrong, a package that the detector needs is not installed, or no person is
            detected.
    """
    formats = _formats(export)
    camera = camera_index(footage)
    output = Path(output or _default_output(footage, camera))
    _check_choices(device, focal, fov, person, begin, end, fps)
    images = Path(str(footage))
    if camera is not None:
        _refuse_keypoints(keypoints)
        images = output / 'recording'
    if keypoints is not None and not Path(keypoints).exists():
        raise InputError(f'{keypoints}: there is no such keypoint file; check the path')
    if model is not None or weights is not None:
        adapt = _with_model(adapt, model, weights)

    def config(keypoints: str | Path, rate: Optional[float]) -> Config:
        cfg = _config(str(images), keypoints, adapt, max_people, rate, cfg_options, repair_sides)
        set_precision(cfg, precision)
        return cfg

    # Wrong configs and options are reported before the long work.
    config(keypoints or output / 'keypoints.json', fps)
    if keypoints is None:
        if camera is None:
            opened = open_footage(images)  # a wrong path is reported before the detector is loaded
        detector = build_detector(pose2d, device or _default_device())
        if camera is not None:
            fps = _record(camera, images, seconds)
            opened = open_footage(images)
        rate = fps or _rate_of(cfg_options)
        frames = _frames_to_detect(opened, rate, begin, end)
        keypoints = detect(opened, detector, output / 'keypoints.json', rate, frames)
    cfg = config(keypoints, fps)
    choices = dict(
        focal=focal, fov=fov, person=person, begin=begin, end=end, first_frame=first_frame
    )
    for key, value in choices.items():
        if value is not None:
            cfg.dataset[key] = value
    if not film:
        cfg.outputs = {**(cfg.get('outputs') or {}), 'pictures': 0, 'video': False}
    metrics, dataset = adapt_and_keep_data(cfg, work_dir=output, device=device)
    results = output / 'results' / read_json(output / 'metrics.json', kind=dict)['fingerprint']
    body = body_of(cfg.estimator)
    doubts = report_doubts(dataset, results, body, output / 'metrics.json')
    overlay = None
    if film:
        overlay = draw_scene(dataset, results, body, output)
    exports = _export(results, formats)
    return Inference(metrics, results, overlay, exports, Path(keypoints), doubts)


def _check_choices(
    device: Optional[str],
    focal: Optional[float],
    fov: Optional[float],
    person: int | str | None,
    begin: float | str | None,
    end: float | str | None,
    fps: Optional[float],
) -> None:
    """Raises InputError for values that are wrong whatever the footage is, before the long work."""
    if device is not None:
        check_device(device)
    if focal is not None or fov is not None:
        clip_focal((1, 1), focal, fov)
    parse_person(person)
    for option, value in (('--from', begin), ('--to', end)):
        if value is not None:
            parse_frame(value, fps or 1.0, option)


def _frames_to_detect(
    footage: Footage,
    rate: Optional[float],
    begin: float | str | None,
    end: float | str | None,
) -> Optional[range]:
    """The frames of a stretch of footage, None for all; ``rate`` replaces its frames per second and its times."""
    if begin is None and end is None:
        return None
    times = None
    if rate is None:
        times = footage.seconds()
    return frame_range(begin, end, len(footage), rate or footage.fps, str(footage.path), times)


def set_precision(cfg: Config, precision: Optional[str]) -> None:
    """Sets the precision of the estimator, or of its image network, in an adapt config; None leaves it.

    Raises:
        InputError: the estimator has no such option, or it is none of its values.
    """
    if precision is None:
        return
    if precision not in PRECISIONS:
        raise InputError(f'precision is one of {PRECISIONS}, not {precision!r}')
    config = cfg.estimator
    if 'image' in config:  # VideoHMR
        config = config.image
    network = ESTIMATORS.get(config.type)
    if network is None:
        return  # the run names what is registered
    if 'precision' not in inspect.signature(network).parameters:
        raise InputError(
            f'{network.__name__} has no option precision: it computes in float32. bfloat16 is for image networks; '
            f'name the config of one with --adapt, e.g. boa/r18_wild'
        )
    config.precision = precision


def _rate_of(options: Optional[dict[str, Any]]) -> Optional[float]:
    """The frames per second that options for the data set declare."""
    options = options or {}
    rate = options.get('dataset.fps')
    if rate is None and options.get('dataset.image_sequence'):
        rate = 25.0
    return rate


def _default_output(footage: str | Path | int, camera: Optional[int]) -> Path:
    if camera is None:
        return Path('work_dirs/infer') / Path(str(footage)).stem
    return Path('work_dirs/infer') / f'camera{camera}'


def _refuse_keypoints(keypoints: Optional[str | Path]) -> None:
    """Raises InputError if a keypoint file is given for a recording that will only be made."""
    if keypoints is not None:
        raise InputError(
            'a recording that does not exist yet cannot have a keypoint file; record without --keypoints, or give '
            'the recording'
        )


def _export(results: Path, formats: list[str]) -> list[Path]:
    if not formats:
        return []
    return export_results(results, formats)


def _default_device() -> str:
    if torch.cuda.is_available():
        return 'cuda'
    return 'cpu'


def _formats(names: Iterable[str]) -> list[str]:
    formats = [ALIASES.get(name, name) for name in names]
    for name in formats:
        if name not in FORMATS:
            raise InputError(
                f'there is no format {name!r}. {suggestion(name, [*FORMATS, *ALIASES])}'
            )
    if formats:
        check_formats(formats)
    return formats


def _with_model(
    adapt: Optional[str | Path | dict | Config],
    model: Optional[str],
    weights: Optional[str | Path],
) -> Config:
    """An adapt config, by default that of no adaptation, with another network.

    Raises:
        InputError: the model is unknown or no image network, one of both is missing, or there is no such file.
    """
    if model is None or weights is None:
        raise InputError(
            'infer: model and weights belong together, e.g. --model hmr2 --weights FILE; a network without weights '
            'predicts nothing of use, and a file does not name its network'
        )
    if model not in image_networks():
        raise InputError(
            f'infer: there is no image network {model!r}. {suggestion(model, image_networks())}'
        )
    find_weights(weights)
    if adapt is None:
        cfg = Config(
            dict(adapter=dict(type='Source'), outputs=dict(pictures=8, video=False)),
        )
    else:
        cfg = load_config(adapt)
    network = model_config(model)
    if network.get('body') is None:
        network['body'] = dict(type='BodyModel', file='open')
    network['weights'] = str(weights)
    cfg.estimator = network
    if model == 'hmr2':
        cfg.dataset = dict(cfg.get('dataset') or {}, box_aspect=HMR2_ASPECT)
    return cfg


def _config(
    images: str,
    keypoints: str | Path,
    adapt: Optional[str | Path | dict | Config],
    max_people: Optional[int],
    fps: Optional[float],
    options: Optional[dict[str, Any]],
    repair_sides: bool,
) -> Config:
    """The adapt config of a run over the footage."""
    if adapt is None:
        cfg = Config(
            dict(
                estimator=dict(model_config('landmark_hmr'), weights='open:lifter'),
                adapter=dict(type='Source'),
                outputs=dict(pictures=8, video=False),
            )
        )
    else:
        cfg = load_config(adapt)
    replaced_dataset = cfg.get('dataset') or {}
    replaced_evaluator = cfg.get('evaluator')
    silhouettes = isinstance(replaced_evaluator, dict) and replaced_evaluator.get(
        'silhouettes', False
    )
    cfg.dataset = dict(
        type='VideoDataset',
        images=images,
        keypoints=str(keypoints),
        fps=fps,
        max_people=max_people,
        masks=replaced_dataset.get('masks'),
        repair_sides=repair_sides,
    )
    if 'box_aspect' in replaced_dataset:
        cfg.dataset['box_aspect'] = replaced_dataset['box_aspect']
    # The protocols of data sets need ground truth, which a user's footage does not have.
    cfg.evaluator = dict(type='MeshEvaluator', protocol='open', silhouettes=silhouettes)
    return load_config(cfg, options)


def camera_index(footage: str | Path | int) -> Optional[int]:
    """The index of a webcam; None for paths, and for numbers that are the name of a file."""
    if isinstance(footage, int):
        return footage
    if re.fullmatch(r'\d+', str(footage)) and not Path(footage).exists():
        return int(str(footage))
    return None


def _record(camera: int, folder: Path, seconds: Optional[float]) -> float:
    """Records a webcam and returns the frames per second of the recording."""
    console = Console(soft_wrap=True)
    ending = '; Ctrl-C ends it' if seconds is None else ''
    console.print(f'recording camera {camera} into {folder}{ending}')
    count, fps = record(camera, folder, seconds)
    console.print(
        f'{count} images, {fps:.2f} per second; to process them again: '
        f'python tools/infer.py {folder} --fps {fps:.2f} --keypoints {folder.parent / "keypoints.json"}'
    )
    return round(fps, 2)
