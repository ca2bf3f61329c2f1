"""A :class:`StreamingRunner` from what users write: a config, a detector by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from hrtk.apis.adaptation import load_config
from hrtk.apis.assets import require_assets
from hrtk.apis.live.runner import StreamingRunner, check_detector
from hrtk.apis.zoo.building import model_config
from hrtk.detectors import Detector, build_detector
from hrtk.engine.runner import check_keys
from hrtk.errors import named_config
from hrtk.registry import ADAPTERS, ESTIMATORS

# A look at tiles takes longer than several frames, so here they are looked at only while nobody is found.
WITHOUT_TILES = 'blazepose:tiles_every=0'


def streaming_runner(
    adapt: Optional[str | Path | dict | Config] = None,
    *,
    pose2d: str | dict | Detector | Callable = 'blazepose',
    device: str = 'cpu',
    cfg_options: Optional[dict[str, Any]] = None,
    **options: Any,
) -> StreamingRunner:
    """Builds a runner.

    Args:
        adapt: an adapt config, of which estimator and adapter are used; None is the bundled start model without
            adaptation.
        pose2d: as in :func:`hrtk.apis.infer.infer`; ``'blazepose'`` stands for :data:`WITHOUT_TILES`.
        device: of the networks.
        cfg_options: replacements by dotted key, e.g. ``{'adapter.steps': 2}``.
        **options: of :class:`StreamingRunner`.

    Raises:
        InputError: a config or an option is wrong, or the method does not work on streams.
    """
    if adapt is None:
        adapt = dict(
            estimator=dict(model_config('landmark_hmr'), weights='open:lifter'),
            adapter=dict(type='Source'),
        )
    cfg = load_config(adapt, cfg_options)
    check_keys(cfg, required=('estimator', 'adapter'))
    parts = dict(estimator=cfg.estimator, adapter=cfg.adapter)
    require_assets(Config(parts).to_dict())
    with named_config(cfg.filename):
        adapter = ADAPTERS.build(cfg.adapter)
        estimator = ESTIMATORS.build(cfg.estimator).to(device)
    if isinstance(pose2d, str) and pose2d == 'blazepose':
        pose2d = WITHOUT_TILES
    detector = build_detector(pose2d, device)
    check_detector(estimator, detector)
    return StreamingRunner(estimator, adapter, detector, **options)
