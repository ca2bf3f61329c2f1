"""MeshEvaluator: the errors of a run before and after adaptation, under a named protocol."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Mapping, Optional
from typing import Sequence as SequenceOf

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from hrtk.body_models.gendered import GenderedBodies
from hrtk.errors import InputError
from hrtk.evaluation.functional import (
    AUC_MM,
    accel_error,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
    reprojection_error_px,
)
from hrtk.evaluation.posing import Posed, Poser, needs_genders
from hrtk.evaluation.protocols import Protocol, get_protocol
from hrtk.evaluation.report import Record, print_table, summarise, write_json
from hrtk.evaluation.silhouettes import crop_masks, silhouette_iou
from hrtk.geometry.boxes import to_image
from hrtk.geometry.camera import project
from hrtk.registry import METRICS
from hrtk.structures import Prediction, Sequence

CHUNK = 64  # frames whose full meshes are in memory at once


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
        bodies: ``dict(male=..., female=...)``, the body files of gendered ground truth, for protocols that pose it on
            its own body; may name ``extra_regressor`` and ``h36m_regressor``, else those of the estimator's body serve.
        silhouettes: also compare outlines with the masks of sequences that have some.

    Raises:
        InputError: no such protocol, or a body file that it needs is missing.
    """

    def __init__(
        self,
        protocol: str = 'open',
        collect_device: str = 'gpu',
        bodies: Optional[Mapping[str, str]] = None,
        silhouettes: bool = False,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix='hrtk')
        self.prefix = None  # the rows ('Source', 'Bilevel') are the prefixes; given as None, mmengine would warn
        self.protocol: Protocol = get_protocol(protocol)
        needed = bodies is not None and needs_genders(self.protocol)
        self.silhouettes = silhouettes
        self.poser = Poser(self.protocol, GenderedBodies(bodies) if needed else None)

    def process(self, data_batch: Sequence, data_samples: SequenceOf[Any]) -> None:
        """Measures the results of one sequence.

        Args:
            data_batch: the sequence, for its ground truth.
            data_samples: its one :class:`hrtk.engine.Result`.

        Raises:
            InputError: the ground truth does not fit the protocol.
        """
        for result in data_samples:
            self.results.append(self._record(result, data_batch))

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Averages over all frames of all sequences, prints the table and writes ``metrics.json``.

        Returns:
            ``'<row>/<metric>'`` numbers: ``mpjpe_mm``, ``pa_mpjpe_mm``, ``pve_mm``, ``accel_mm`` (per frame squared),
            ``reprojection_px``, ``ms_per_frame`` and what else the protocol asks for (``pve_boa_mm``, ``pck``, ...);
            for the adapted row also ``worse_share`` (0..1) and ``skipped_updates``; and ``sequences``, ``frames``,
            ``unscored_frames``.
        """
        names = [record.name for record in results]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f'the data set holds more than one sequence called {twice[0]!r}; results are stored by '
                f'name, so names must be unique'
            )
        if self.protocol.accel_across:
            results = _accelerate_across(results)
        rows = summarise(results)
        metrics = {
            f'{row}/{key}': value for row, values in rows.items() for key, value in values.items()
        }
        metrics.update(
            sequences=len(results),
            frames=sum(record.frames for record in results),
            unscored_frames=sum(record.unscored for record in results),
        )
        sources = sorted({record.source for record in results})
        if 'work_dir' in (self.dataset_meta or {}):
            write_json(
                Path(self.dataset_meta['work_dir']) / 'metrics.json',
                self.protocol,
                sources,
                metrics,
                results,
                {key: self.dataset_meta.get(key) for key in ('config', 'fingerprint', 'adapter')},
            )
        print_table(rows, self.protocol, sources, metrics['frames'] - metrics['unscored_frames'])
        return metrics

    def running(self) -> dict[str, dict[str, float]]:
        """The rows of the table over the sequences that this process has scored so far."""
        return summarise(self.results)

    def _record(self, result: Any, sequence: Sequence) -> Record:
        body, truth = self.dataset_meta['body'], sequence.truth
        if body is None:
            raise InputError(
                "the evaluator needs a body to measure; give the estimator body=dict(type='BodyModel')"
            )
        valid = np.ones(len(result), dtype=bool)
        if truth is not None and truth.valid is not None and self.protocol.use_valid:
            valid = truth.valid.cpu().numpy().astype(bool)
        valid[len(valid) // self.protocol.chunk * self.protocol.chunk :] = False
        before, after = [], []
        for start in range(0, len(valid), CHUNK):
            part = slice(start, start + CHUNK)
            target = self.poser.truth(body, truth, part)
            masks = (
                crop_masks(sequence, part)
                if self.silhouettes and sequence.masks is not None
                else None
            )
            before.append(self._measure(body, result, result.before, part, target, masks))
            after.append(self._measure(body, result, result.after, part, target, masks))
        errors = [self._finish(parts, valid) for parts in (before, after)]
        return Record(
            result.name,
            len(valid),
            int((~valid).sum()),
            result.keypoints_source,
            self.dataset_meta.get('adapter', 'Adapted'),
            errors[0],
            errors[1],
            result.boxes[:, 2],
            result.before_ms_per_frame,
            result.ms_per_frame,
            dict(result.report),
            _joints(before, after) if self.protocol.accel_across else None,
        )

    @torch.no_grad()
    def _measure(
        self,
        body: Any,
        result: Any,
        prediction: Prediction,
        part: slice,
        truth: Optional[Posed],
        masks: Optional[Tensor],
    ) -> dict[str, Any]:
        device = body.template.device
        rotmat = prediction.rotmat[part].to(device)
        betas = prediction.betas[part].to(device)
        camera = prediction.camera[part].to(device)
        boxes = torch.as_tensor(result.boxes[part], device=device)
        joints = body.joints(rotmat, betas, result.skeleton)
        projected = to_image(project(joints, camera), boxes)
        keypoints = result.keypoints2d[part]
        errors = dict(
            reprojection_px=reprojection_error_px(projected, keypoints[..., :2], keypoints[..., 2])
        )
        if masks is not None:
            errors['iou'] = silhouette_iou(body, rotmat, betas, camera, masks)
        if truth is not None:
            posed = self.poser.prediction(body, rotmat, betas, meshes=bool(truth.meshes))
            errors.update(
                mpjpe_mm=mpjpe(posed.joints, truth.joints),
                pa_mpjpe_mm=pa_mpjpe(posed.joints, truth.joints),
                joints=(posed.joints.cpu().numpy(), truth.joints.cpu().numpy()),
            )
            for mesh, predicted, true in zip(self.protocol.meshes, posed.meshes, truth.meshes):
                errors[mesh.name] = pve(predicted, true)
            if self.protocol.pck:
                predicted, true = (np.float64(joints) for joints in errors['joints'])
                moved = procrustes(predicted, true)
                errors.update(
                    pck=pck(predicted, true),
                    auc=pck(predicted, true, AUC_MM),
                    pa_pck=pck(moved, true),
                    pa_auc=pck(moved, true, AUC_MM),
                )
        return errors

    def _finish(self, parts: list[dict[str, Any]], valid: np.ndarray) -> dict[str, np.ndarray]:
        """Joins chunks; frames that the protocol must not score become NaN in all 3D errors."""
        errors = {
            key: np.concatenate([part[key] for part in parts])
            for key in parts[0]
            if key != 'joints'
        }
        if 'joints' in parts[0]:
            predicted, truth = (
                np.concatenate([part['joints'][side] for part in parts]) for side in (0, 1)
            )
            errors['accel_mm'] = np.full(len(valid), np.nan)
            errors['accel_mm'][1:-1] = np.where(
                valid[:-2] & valid[1:-1] & valid[2:], accel_error(predicted, truth), np.nan
            )
        return {
            key: value if key in ('reprojection_px', 'iou') else np.where(valid, value, np.nan)
            for key, value in errors.items()
        }


def _joints(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> Optional[np.ndarray]:
    """Joints of chunks as in :class:`Record`."""
    if 'joints' not in before[0]:
        return None
    return np.stack(
        [
            np.concatenate([part['joints'][side] for part in parts])
            for parts, side in ((before, 0), (after, 0), (after, 1))
        ]
    )


def _accelerate_across(records: SequenceOf[Record]) -> list[Record]:
    """Acceleration errors of the scored frames of all sequences as if they were one, as VIBE's evaluator has them."""
    scored = [
        ~np.isnan(record.after['mpjpe_mm']) if record.joints is not None else np.zeros(0, bool)
        for record in records
    ]
    if not sum(map(np.sum, scored)):
        return list(records)
    stack = np.concatenate(
        [record.joints[:, keep] for record, keep in zip(records, scored) if len(keep)], axis=1
    )
    errors = [
        np.pad(accel_error(stack[side], stack[2]), 1, constant_values=np.nan)[: stack.shape[1]]
        for side in (0, 1)
    ]
    changed, start = [], 0
    for record, keep in zip(records, scored):
        rows = []
        for row, error in zip((record.before, record.after), errors):
            accel = np.full(record.frames, np.nan)
            accel[: len(keep)][keep] = error[start : start + keep.sum()]
            rows.append({**row, 'accel_mm': accel} if len(keep) else row)
        start += int(keep.sum())
        changed.append(dataclasses.replace(record, before=rows[0], after=rows[1]))
    return changed
