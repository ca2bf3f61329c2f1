"""MeshEvaluator: the errors of a run before and after adaptation, under a named protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from hrtk.body_models.skeletons import index_map, joint_names
from hrtk.evaluation.functional import accel_error, mpjpe, pa_mpjpe, pve, reprojection_error_px
from hrtk.evaluation.protocols import Protocol, get_protocol
from hrtk.evaluation.report import Record, print_table, summarise, write_json
from hrtk.geometry.boxes import to_image
from hrtk.geometry.camera import project
from hrtk.registry import METRICS
from hrtk.structures import GroundTruth, InputError, Sequence

CHUNK = 64  # frames whose full meshes are in memory at once


class _Posed(NamedTuple):
    """Root-aligned ``joints`` (F, J, 3) and, if asked for, ``vertices`` (F, V, 3), metres."""

    joints: Tensor
    vertices: Optional[Tensor]


@METRICS.register_module()
class MeshEvaluator(BaseMetric):
    """Scores one result per sequence; ranks exchange these records.

    The loop gives it, as ``dataset_meta``, the ``body`` of the estimator, the class name of the ``adapter``, and for
    the report ``work_dir``, ``config`` and ``fingerprint``. Without ground truth only the 2D reprojection error, in
    pixels of the source image, is measured.

    Args:
        protocol: name of a protocol of :mod:`hrtk.evaluation.protocols`.
        collect_device: how ranks exchange records: ``'gpu'`` (through the process group, CPU too) or ``'cpu'``
            (through a shared folder).

    Raises:
        InputError: no such protocol.
    """

    def __init__(self, protocol: str = 'open', collect_device: str = 'gpu') -> None:
        super().__init__(collect_device=collect_device, prefix='hrtk')
        self.prefix = None  # the rows ('Source', 'Bilevel') are the prefixes; given as None, mmengine would warn
        self.protocol: Protocol = get_protocol(protocol)

    def process(self, data_batch: Sequence, data_samples: SequenceOf[Any]) -> None:
        """Measures the results of one sequence.

        Args:
            data_batch: the sequence, for its ground truth.
            data_samples: its one :class:`hrtk.engine.Result`.

        Raises:
            InputError: the ground truth does not fit the protocol.
        """
        for result in data_samples:
            self.results.append(self._record(result, data_batch.truth))

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Averages over all frames of all sequences, prints the table and writes ``metrics.json``.

        Returns:
            ``'<row>/<metric>'`` numbers: ``mpjpe_mm``, ``pa_mpjpe_mm``, ``pve_mm``, ``accel_mm`` (per frame squared),
            ``reprojection_px``, ``ms_per_frame``, for the adapted row also ``worse_share`` (0..1) and
            ``skipped_updates``; and ``sequences``, ``frames``, ``unscored_frames``.
        """
        names = [record.name for record in results]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f'the data set holds more than one sequence called {twice[0]!r}; results are stored by '
                             f'name, so names must be unique')
        rows = summarise(results)
        metrics = {f'{row}/{key}': value for row, values in rows.items() for key, value in values.items()}
        metrics.update(sequences=len(results), frames=sum(record.frames for record in results),
                       unscored_frames=sum(record.unscored for record in results))
        sources = sorted({record.source for record in results})
        if 'work_dir' in (self.dataset_meta or {}):
            write_json(Path(self.dataset_meta['work_dir']) / 'metrics.json', self.protocol, sources, metrics, results,
                       {key: self.dataset_meta.get(key) for key in ('config', 'fingerprint', 'adapter')})
        print_table(rows, self.protocol, sources)
        return metrics

    def running(self) -> dict[str, dict[str, float]]:
        """The rows of the table over the sequences that this process has scored so far."""
        return summarise(self.results)

    def _record(self, result: Any, truth: Optional[GroundTruth]) -> Record:
        body = self.dataset_meta['body']
        if body is None:
            raise InputError("the evaluator needs a body to measure; give the estimator body=dict(type='BodyModel')")
        valid = np.ones(len(result.rotmat), dtype=bool)
        if truth is not None and truth.valid is not None:
            valid = truth.valid.cpu().numpy().astype(bool)
        before, after = [], []
        for start in range(0, len(valid), CHUNK):
            part = slice(start, start + CHUNK)
            target = self._truth(body, truth, part)
            before.append(self._measure(body, result, 'before_', part, target))
            after.append(self._measure(body, result, '', part, target))
        errors = [self._finish(parts, valid) for parts in (before, after)]
        return Record(result.name, len(valid), int((~valid).sum()), result.keypoints_source,
                      self.dataset_meta.get('adapter', 'Adapted'), errors[0], errors[1], result.boxes[:, 2],
                      result.before_ms_per_frame, result.ms_per_frame, dict(result.report))

    def _truth(self, body: Any, truth: Optional[GroundTruth], part: slice) -> Optional[_Posed]:
        if truth is None:
            return None
        if truth.rotmat is not None and truth.betas is not None:
            if truth.gender not in self.protocol.genders:
                raise InputError(f'protocol {self.protocol.name!r} scores {" or ".join(self.protocol.genders)} bodies, '
                                 f'but the ground truth is {truth.gender}; choose a protocol for gendered truth')
            return self._pose(body, truth.rotmat[part], truth.betas[part], mesh=True)
        if truth.joints3d is None:
            return None
        wanted = index_map(truth.skeleton, self.protocol.joints)
        root = index_map(truth.skeleton, self.protocol.root_skeleton)[self._root()]
        if min(*wanted, root) < 0:
            raise InputError(f'protocol {self.protocol.name!r} compares the joints {self.protocol.joints!r} relative '
                             f'to {self.protocol.root!r}; the ground truth has {truth.skeleton!r}, which lacks some')
        joints = truth.joints3d[part]
        return _Posed(joints[:, list(wanted)] - joints[:, root, None], None)

    @torch.no_grad()
    def _pose(self, body: Any, rotmat: Any, betas: Any, mesh: bool) -> _Posed:
        device = body.template.device
        rotmat, betas = (torch.as_tensor(x, dtype=torch.float32, device=device) for x in (rotmat, betas))
        protocol = self.protocol
        if mesh:
            output = body(rotmat, betas)
            joints, roots = (body.joints_from_mesh(output, s) for s in (protocol.joints, protocol.root_skeleton))
        else:
            joints, roots = (body.joints(rotmat, betas, s) for s in (protocol.joints, protocol.root_skeleton))
        root = roots[:, self._root(), None]
        vertices = None
        if mesh:
            vertices = output.vertices - root if protocol.align_vertices else output.vertices
        return _Posed(joints - root, vertices)

    @torch.no_grad()
    def _measure(self, body: Any, result: Any, prefix: str, part: slice, truth: Optional[_Posed]) -> dict[str, Any]:
        rotmat, betas, camera = (getattr(result, prefix + key)[part] for key in ('rotmat', 'betas', 'camera'))
        tensors = [torch.as_tensor(x, device=body.template.device) for x in (rotmat, betas, camera, result.boxes[part])]
        projected = to_image(project(body.joints(tensors[0], tensors[1], result.skeleton), tensors[2]), tensors[3])
        keypoints = result.keypoints2d[part]
        errors = dict(reprojection_px=reprojection_error_px(projected, keypoints[..., :2], keypoints[..., 2]))
        if truth is not None:
            posed = self._pose(body, rotmat, betas, mesh=truth.vertices is not None)
            errors.update(mpjpe_mm=mpjpe(posed.joints, truth.joints), pa_mpjpe_mm=pa_mpjpe(posed.joints, truth.joints),
                          joints=(posed.joints.cpu(), truth.joints.cpu()))
            if truth.vertices is not None:
                errors['pve_mm'] = pve(posed.vertices, truth.vertices)
        return errors

    def _finish(self, parts: list[dict[str, Any]], valid: np.ndarray) -> dict[str, np.ndarray]:
        """Joins chunks; frames that the protocol must not score become NaN in all 3D errors."""
        errors = {key: np.concatenate([part[key] for part in parts]) for key in parts[0] if key != 'joints'}
        if 'joints' in parts[0]:
            predicted, truth = (torch.cat([part['joints'][side] for part in parts]) for side in (0, 1))
            errors['accel_mm'] = np.full(len(valid), np.nan)
            errors['accel_mm'][1:-1] = np.where(valid[:-2] & valid[1:-1] & valid[2:], accel_error(predicted, truth),
                                                np.nan)
        return {key: value if key == 'reprojection_px' else np.where(valid, value, np.nan)
                for key, value in errors.items()}

    def _root(self) -> int:
        return joint_names(self.protocol.root_skeleton).index(self.protocol.root)
