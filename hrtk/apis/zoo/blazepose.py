"""BlazePose's two networks from MediaPipe's wheel: ``pose_detection.tflite`` and ``pose_landmark_full.tflite``."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import torch
from torch import Tensor, nn

from hrtk.apis.zoo.tflite import read_convolutions
from hrtk.errors import InputError
from hrtk.files import write_atomically, write_text_atomically
from hrtk.models.blazepose import LandmarkNetwork, PoseDetector
from hrtk.reading.hashes import sha256

VERSION = '0.10.21'
REMEDY = f'`pip download --no-deps mediapipe=={VERSION}` fetches the wheel'
# The files of this version, which are the same in the wheels of all systems.
FILES = {
    'pose_detection.tflite': '9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c',
    'pose_landmark_full.tflite': 'e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f',
}


def convert_blazepose(source: str | Path, output: str | Path) -> dict[str, Any]:
    """Writes the weights of both networks, in half precision as the files have them, and a json record beside them.

    Args:
        source: the wheel of MediaPipe 0.10.21, or a folder that holds the two .tflite files at any depth.
        output: the weights file, e.g. ``hrtk/models/weights/blazepose.pt``.

    Returns:
        The record.

    Raises:
        InputError: a file is missing, not the one of this version, or unreadable.
    """
    source = Path(source)
    output = Path(output)
    with _folder(source) as folder:
        paths = {name: _find(folder, name, source) for name in FILES}
        weights = {
            **_weights(
                PoseDetector(), detector_layers(), paths['pose_detection.tflite'], 'detector'
            ),
            **_weights(
                LandmarkNetwork(),
                landmark_layers(),
                paths['pose_landmark_full.tflite'],
                'landmark_network',
            ),
        }
    output.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save({'state_dict': weights}, content)
    write_atomically(output, lambda file: file.write(content.getvalue()))
    record = _record(source, weights, output)
    write_text_atomically(output.with_suffix('.json'), json.dumps(record, indent=1) + '\n')
    return record


def detector_layers() -> list[str]:
    """The convolutions of :class:`~hrtk.models.blazepose.PoseDetector` in the order of the file."""
    names = _backbone_layers({'stage16': 'lateral8', 'stage32': 'lateral16'})
    for level in ('16', '8'):
        names.append(f'down{level}')
        names += _residual(f'merged{level}.0') + _residual(f'merged{level}.1')
    for head in ('heads.0', 'heads.1', 'heads.2'):
        for output in ('logits', 'values'):
            names += [f'{head}.{output}_depthwise', f'{head}.{output}']
    return names


def landmark_layers() -> list[str]:
    """The convolutions of :class:`~hrtk.models.blazepose.LandmarkNetwork` in the order of the file."""
    laterals = {
        'stage4': 'mask.lateral2',
        'stage8': 'pyramid.lateral4',
        'stage16': 'pyramid.lateral8',
        'stage32': 'pyramid.lateral16',
    }
    names = _backbone_layers(laterals) + _separable('pyramid.top') + _separable('mask.reduce')
    for block in ('blocks2.0', 'blocks2.1', 'blocks1.0', 'blocks1.1'):
        names += _residual(f'mask.{block}')
    names += ['mask.logits', 'heatmap', *_separable('tower.0')]
    for index in range(1, 12):
        names += _residual(f'tower.{index}')
    return [*names, 'landmarks', 'world', 'flag']


def _backbone_layers(laterals: dict[str, str]) -> list[str]:
    """The layers of a backbone; the lateral layers that leave before a stage follow the stage's first convolution."""
    names = [f'backbone.{layer}' for layer in ('stem', 'stem_depthwise', 'stem_project')]
    for stage, blocks in (('stage4', 2), ('stage8', 2), ('stage16', 6), ('stage32', 4)):
        for block in range(blocks):
            names.append(f'backbone.{stage}.{block}.expand')
            if block == 0 and stage in laterals:
                names += _separable(laterals[stage])
            names.append(f'backbone.{stage}.{block}.depthwise')
            names.append(f'backbone.{stage}.{block}.project')
    return [*names, 'backbone.last_expand', 'backbone.last_depthwise']


def _separable(name: str) -> list[str]:
    return [f'{name}.depthwise', f'{name}.pointwise']


def _residual(name: str) -> list[str]:
    return _separable(f'{name}.separable')


def _weights(network: nn.Module, layers: list[str], path: Path, prefix: str) -> dict[str, Tensor]:
    """The state dict of a network from a file, with a prefix."""
    convolutions = read_convolutions(path)
    if len(convolutions) != len(layers):
        raise InputError(
            f'{path.name}: {len(convolutions)} convolutions, expected {len(layers)}; {REMEDY}'
        )
    state = {}
    for layer, weights in zip(layers, convolutions):
        kernel = torch.from_numpy(weights.kernel.copy())
        if isinstance(
            network.get_submodule(layer), nn.Linear
        ):  # a convolution over all cells of a map
            kernel = kernel.flatten(1)
        state[f'{layer}.weight'] = kernel
        state[f'{layer}.bias'] = torch.from_numpy(weights.bias.copy())
    network.load_state_dict(state)  # names and shapes
    return {f'{prefix}.{key}': value.half() for key, value in state.items()}


@contextlib.contextmanager
def _folder(source: Path) -> Iterator[Path]:
    """A folder with the files of a wheel; a folder is used as it is."""
    if source.is_dir():
        yield source
        return
    if not zipfile.is_zipfile(source):
        raise InputError(f'{source}: neither a folder nor a wheel of mediapipe {VERSION}; {REMEDY}')
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(source) as wheel:
        for member in wheel.namelist():
            name = Path(member).name
            if name in FILES:
                (Path(temporary) / name).write_bytes(wheel.read(member))
        yield Path(temporary)


def _find(folder: Path, name: str, source: Path) -> Path:
    found = sorted(folder.rglob(name))
    if not found:
        raise InputError(
            f'{source}: no {name} in it; newer releases of mediapipe have none. {REMEDY}'
        )
    digest = sha256(found[0])
    if digest != FILES[name]:
        raise InputError(
            f'{source}: {name} is not that of mediapipe {VERSION} (SHA-256 {digest}); {REMEDY}'
        )
    return found[0]


def _record(source: Path, weights: dict[str, Tensor], output: Path) -> dict[str, Any]:
    """Where the weights come from and under which terms."""
    wheel: Optional[dict[str, str]] = None
    if source.is_file():
        wheel = {'name': source.name, 'sha256': sha256(source)}
    return dict(
        source=f'mediapipe {VERSION}, a wheel of the Python Package Index, distributed under Apache-2.0',
        wheel=wheel,
        files=FILES,
        licence='Apache-2.0, copyright The MediaPipe Authors',
        changes='converted by hrtk from TFLite to state dicts of hrtk.models.blazepose, weights in float16',
        training_data='not published',
        intended_use="that of the authors' model card, BlazePose GHUM 3D",
        parameters=sum(value.numel() for value in weights.values()),
        bytes=output.stat().st_size,
    )
