"""Old names of moved modules, which stay importable for one release.

A module is found under its old name, with a :class:`FutureWarning` that gives the new one. Both names are the same
module object, so classes, pickles and patches agree.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from types import CodeType, ModuleType
from typing import Any, Optional

# Old name -> new name. An entry of a package covers the modules inside it.
MOVED = {
    # adapters, by method
    'hrtk.adapters.dynamic_bilevel': 'hrtk.adapters.bilevel.dynamic',
    'hrtk.adapters.online': 'hrtk.adapters.bilevel.online',
    'hrtk.adapters.parts.bank_files': 'hrtk.adapters.bilevel.bank_files',
    'hrtk.adapters.parts.objectives': 'hrtk.adapters.bilevel.objectives',
    'hrtk.adapters.parts.retrieval': 'hrtk.adapters.bilevel.retrieval',
    'hrtk.adapters.parts.state': 'hrtk.adapters.bilevel.state',
    'hrtk.adapters.parts.corruption': 'hrtk.adapters.collaborative.corruption',
    'hrtk.adapters.pre_adapt': 'hrtk.adapters.collaborative.pre_adapt',
    'hrtk.adapters.regeneration': 'hrtk.adapters.collaborative.regeneration',
    'hrtk.adapters.parts.shots': 'hrtk.adapters.few_shot.shots',
    'hrtk.adapters.parts.fitting': 'hrtk.adapters.topology.fitting',
    'hrtk.adapters.parts.mask_learner': 'hrtk.adapters.topology.learner',
    'hrtk.adapters.parts.mask_objectives': 'hrtk.adapters.topology.objectives',
    'hrtk.adapters.parts.mask_targets': 'hrtk.adapters.topology.targets',
    'hrtk.adapters.parts.pose_space': 'hrtk.adapters.topology.pose_space',
    # calls
    'hrtk.apis.adapt': 'hrtk.apis.adaptation',
    'hrtk.apis.benchmark': 'hrtk.apis.tables.benchmarking',
    'hrtk.apis.cli': 'hrtk.cli.main',
    'hrtk.apis.command': 'hrtk.cli.options',
    'hrtk.apis.evaluate': 'hrtk.apis.scoring',
    'hrtk.apis.export': 'hrtk.apis.look.exporting',
    'hrtk.apis.model_zoo': 'hrtk.apis.zoo.metafiles',
    'hrtk.apis.models': 'hrtk.apis.zoo.building',
    'hrtk.apis.publish': 'hrtk.apis.zoo.publish',
    'hrtk.apis.report': 'hrtk.apis.look.report',
    'hrtk.apis.scene': 'hrtk.apis.look.scene',
    'hrtk.apis.stored': 'hrtk.apis.look.stored',
    'hrtk.apis.table_report': 'hrtk.apis.tables.writing',
    'hrtk.apis.table_run': 'hrtk.apis.tables.runs',
    'hrtk.apis.view': 'hrtk.apis.look.view',
    # data sets, by origin
    'hrtk.datasets.coco_keypoints': 'hrtk.datasets.own.coco_keypoints',
    'hrtk.datasets.footage': 'hrtk.datasets.own.footage',
    'hrtk.datasets.foreground_views': 'hrtk.datasets.open_stream.foreground',
    'hrtk.datasets.joblib_file': 'hrtk.datasets.official.joblib_file',
    'hrtk.datasets.keypoint_arrays': 'hrtk.datasets.own.keypoint_readers.rtmlib',
    'hrtk.datasets.keypoint_files': 'hrtk.datasets.own.keypoint_files',
    'hrtk.datasets.keypoint_table': 'hrtk.datasets.own.keypoint_table',
    'hrtk.datasets.motion_windows': 'hrtk.datasets.lifting.motion_windows',
    'hrtk.datasets.open_poses': 'hrtk.datasets.open_stream.poses',
    'hrtk.datasets.open_tracks': 'hrtk.datasets.open_stream.tracks',
    'hrtk.datasets.pose2d': 'hrtk.detectors.rtmlib',
    'hrtk.datasets.prepare': 'hrtk.datasets.official.prepare',
    'hrtk.datasets.spin_npz': 'hrtk.datasets.official.spin_npz',
    'hrtk.datasets.spin_views': 'hrtk.datasets.official.spin_views',
    'hrtk.datasets.threedpw': 'hrtk.datasets.official.threedpw',
    'hrtk.datasets.tracking': 'hrtk.datasets.own.tracking',
    'hrtk.datasets.vibe_db': 'hrtk.datasets.official.vibe_db',
    'hrtk.datasets.video': 'hrtk.datasets.own.video',
    # evaluation
    'hrtk.evaluation.posing': 'hrtk.evaluation.alignment',
    # meshes and masks
    'hrtk.geometry.capsules': 'hrtk.silhouettes.capsules',
    'hrtk.geometry.contour': 'hrtk.silhouettes.contour',
    'hrtk.geometry.coverage': 'hrtk.silhouettes.coverage',
    'hrtk.geometry.deodr_backend': 'hrtk.silhouettes.deodr_backend',
    'hrtk.geometry.distance': 'hrtk.silhouettes.distance',
    'hrtk.geometry.masks': 'hrtk.silhouettes.masks',
    'hrtk.geometry.mesh_edges': 'hrtk.silhouettes.mesh_edges',
    'hrtk.geometry.raster': 'hrtk.silhouettes.raster',
    'hrtk.geometry.silhouette': 'hrtk.silhouettes.silhouette',
    # images
    'hrtk.visualization.overlay': 'hrtk.visualization.overlays',
    # training
    'hrtk.engine.lifting_training': 'hrtk.training.lifting',
    'hrtk.engine.part_optimizers': 'hrtk.training.part_optimizers',
    'hrtk.engine.pose_prior_training': 'hrtk.training.pose_prior',
    'hrtk.engine.segmentation_training': 'hrtk.training.segmentation',
    'hrtk.engine.stepping': 'hrtk.training.stepping',
    'hrtk.engine.temporal_training': 'hrtk.training.temporal',
    'hrtk.engine.training': 'hrtk.training.supervised',
    'hrtk.engine.video_training': 'hrtk.training.video',
    'hrtk.training.augmentation': 'hrtk.models.augmentation',
}


def current_name(name: str) -> Optional[str]:
    """The new dotted name of a moved module or of a module inside a moved package; None for any other name."""
    if name in MOVED:
        return MOVED[name]
    package, _, module = name.rpartition('.')
    current_package = current_name(package) if package else None
    return f'{current_package}.{module}' if current_package else None


class MovedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds moved modules under their old names and loads the modules at the new ones."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if current_name(name) is None:
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_warn(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Undoes what the import system changes: the module's spec, and the package's function of the old name."""
        spec = module.__spec__
        assert spec is not None  # the import system has just set it
        module.__spec__ = spec.loader_state
        package, _, name = spec.name.rpartition('.')
        if hasattr(sys.modules[package], name):
            sys.modules[package].__class__ = _PackageWithFunctions

    def get_code(self, name: str) -> CodeType:
        """The code that ``python -m`` runs for an old name."""
        source = f'import runpy; runpy.run_module({_warn(name)!r}, run_name="__main__")'
        return compile(source, name, 'exec')


class _PackageWithFunctions(ModuleType):
    """A package that keeps a function although a moved module of the same name is imported.

    ``hrtk.apis.adapt`` stays the function after ``from hrtk.apis.adapt import load_config``.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        moved = isinstance(value, ModuleType) and f'{self.__name__}.{name}' in MOVED
        if not (moved and name in vars(self)):
            super().__setattr__(name, value)


def install() -> None:
    """Makes the old names importable; further calls have no effect."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())


def _warn(name: str) -> str:
    """Warns about an old name at the line that imports it, and returns the new one."""
    current = current_name(name)
    assert current is not None  # only names that the finder accepted are loaded
    warnings.warn(
        f'{name} is now {current}; the old name works in this release only',
        FutureWarning,
        stacklevel=3,
    )
    return current
