"""MeshEvaluator: the errors of a run before and after adaptation, under a named protocol."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Mapping, Optional
from typing import Sequence as SequenceOf

import numpy as np
from mmengine.evaluator import BaseMetric

from hrtk.body_models.gendered import GenderedBodies
from hrtk.errors import InputError
from hrtk.evaluation.alignment import RootAligner, needs_gendered_bodies
from hrtk.evaluation.functional import accel_error
from hrtk.evaluation.measuring import Measured, camera_errors, keypoint_losses, measure_sequence
from hrtk.evaluation.protocols import Protocol, get_protocol
from hrtk.evaluation.report import (
    Record,
    print_details,
    print_table,
    summarise,
    summarise_joints,
    write_json,
)
from hrtk.evaluation.stored_joints import StoredJoints, measure_joints
from hrtk.registry import METRICS
from hrtk.results import Result
from hrtk.structures import GroundTruth, Prediction, Sequence


@METRICS.register_module()
class MeshEvaluator(BaseMetric):
    """Scores one result per sequence; ranks exchange the resulting records.

    The test loop sets ``dataset_meta``: the ``body`` of the estimator, the class name of the ``adapter``, and for the
    report ``work_dir``, ``config`` and ``fingerprint``. Without ground truth only the 2D reprojection error is
    measured, in pixels of the source image.

    Args:
        protocol: name of a protocol of :mod:`hrtk.evaluation.protocols`.
        collect_device: how ranks exchange records: ``'gpu'`` (through the process group, on a CPU too) or ``'cpu'``
            (through a shared folder).
        bodies: ``dict(male=..., female=...)``, body files for protocols that pose gendered ground truth on its own
            body. ``extra_regressor`` and ``h36m_regressor`` are optional; the default is those of the estimator's body.
        silhouettes: whether silhouettes are compared with masks too, for sequences that have masks.
        loss_correlation: whether the 2D loss and its correlation with the MPJPE over all frames are reported (Figure 7
            of BOA).

    Raises:
        InputError: the protocol is unknown, or a body file that it needs is missing.
    """

    def __init__(
        self,
        protocol: str = 'open',
        collect_device: str = 'gpu',
        bodies: Optional[Mapping[str, str | Path]] = None,
        silhouettes: bool = False,
        loss_correlation: bool = False,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix='hrtk')
        # Rows ('Source', 'Bilevel') are the prefixes of metrics. mmengine warns about prefix=None in its constructor.
        self.prefix = None
        self.protocol: Protocol = get_protocol(protocol)
        self.silhouettes = silhouettes
        self.loss_correlation = loss_correlation
        gendered_bodies = None
        if bodies is not None and needs_gendered_bodies(self.protocol):
            gendered_bodies = GenderedBodies(bodies)
        self.aligner = RootAligner(self.protocol, gendered_bodies)

    def process(self, data_batch: Sequence, data_samples: SequenceOf[Any]) -> None:
        """Measures the results of one sequence.

        Args:
            data_batch: the sequence, for its ground truth.
            data_samples: its single :class:`hrtk.results.Result`.

        Raises:
            InputError: the ground truth does not fit the protocol.
        """
        for result in data_samples:
            self.results.append(self._record(result, data_batch))

    def process_joints(self, sequence: Sequence, stored: StoredJoints, path: Path) -> None:
        """Measures joints that another program computed for one sequence; there is no row of a source model.

        Args:
            sequence: for its ground truth.
            stored: the joints.
            path: of their file, for messages.

        Raises:
            InputError: joints and ground truth do not fit the protocol.
        """
        measured = measure_joints(self.protocol, stored, sequence, path)
        scored = self._scored_frames(len(sequence), sequence.truth)
        by_joint = None
        if self.protocol.by_joint:
            by_joint = (None, measured.joint_errors(scored))
        meta = self.dataset_meta or {}
        self.results.append(
            Record(
                name=sequence.name,
                frames=len(sequence),
                unscored=int((~scored).sum()),
                source=sequence.keypoints2d.source,
                adapter=meta.get('adapter', 'joints'),
                before=None,
                after=measured.scored_errors(scored),
                box_side=sequence.boxes[:, 2].cpu().numpy(),
                before_ms=np.nan,
                after_ms=np.nan,
                report={},
                by_joint=by_joint,
            )
        )

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Averages over all frames of all sequences, prints the table and writes ``metrics.json``.

        Returns:
            ``'<row>/<metric>'`` numbers: ``mpjpe_mm``, ``pa_mpjpe_mm``, ``pve_mm``, ``accel_mm`` (per frame squared),
            ``reprojection_px``, ``ms_per_frame`` and other metrics of the protocol (``pve_boa_mm``, ``pck``,
            ``accel_pred_mm``, the acceleration of the prediction itself, ...);
            for the adapted row also ``worse_share`` (0..1), ``worst_regression_mm``, ``skipped_updates`` and, if there
            are any, ``frames_without_evidence`` and ``tracks_without_evidence``, for DoNoHarm the shares ``kept``,
            ``blended`` and ``rolled_back`` (0..1); and ``sequences``, ``frames``,
            ``unscored_frames``.

        Raises:
            InputError: two sequences have one name.
        """
        _check_unique_names(results)
        if self.protocol.accel_across:
            results = _accelerate_across(results)
        rows = summarise(results)
        frames = sum(record.frames for record in results)
        unscored_frames = sum(record.unscored for record in results)
        metrics: dict[str, float] = {}
        for row, values in rows.items():
            metrics.update({f'{row}/{key}': value for key, value in values.items()})
        metrics.update(sequences=len(results), frames=frames, unscored_frames=unscored_frames)
        sources = sorted({record.source for record in results})
        meta = self.dataset_meta or {}
        caveat = meta.get('caveat')
        if 'work_dir' in meta:
            run = {key: meta.get(key) for key in ('config', 'fingerprint', 'adapter')}
            if caveat is not None:
                run['caveat'] = caveat
            write_json(
                Path(meta['work_dir']) / 'metrics.json',
                self.protocol,
                sources,
                metrics,
                results,
                run,
            )
        print_table(rows, self.protocol, sources, frames - unscored_frames, caveat=caveat)
        if self.protocol.by_joint:
            print_details(summarise_joints(results, self.protocol), rows)
        return metrics

    def running(self) -> dict[str, dict[str, float]]:
        """The rows of the table over the sequences that this process has scored so far."""
        return summarise(self.results)

    def _record(self, result: Result, sequence: Sequence) -> Record:
        meta = self.dataset_meta or {}
        body = meta.get('body')
        if body is None:
            raise InputError(
                "the evaluator needs a body to measure; give the estimator body=dict(type='BodyModel')"
            )
        scored = self._scored_frames(len(result), sequence.truth)
        before, after = measure_sequence(body, self.aligner, result, sequence, self.silhouettes)
        joints = None
        if self.protocol.accel_across:
            joints = _stacked_joints(before, after)
        by_joint = None
        if self.protocol.by_joint:
            by_joint = (before.joint_errors(scored), after.joint_errors(scored))
        return Record(
            name=result.name,
            frames=len(result),
            unscored=int((~scored).sum()),
            source=result.keypoints_source,
            adapter=meta.get('adapter', 'Adapted'),
            before=self._errors(before, result.before, result, sequence, scored),
            after=self._errors(after, result.after, result, sequence, scored),
            box_side=result.boxes[:, 2],
            before_ms=result.before_ms_per_frame,
            after_ms=result.ms_per_frame,
            report=dict(result.report),
            joints=joints,
            by_joint=by_joint,
        )

    def _errors(
        self,
        measured: Measured,
        prediction: Prediction,
        result: Result,
        sequence: Sequence,
        scored: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """All errors of one prediction of a result, (F,) each."""
        errors = measured.scored_errors(scored)
        if self.loss_correlation:
            body = (self.dataset_meta or {})['body']
            errors['keypoints_loss'] = keypoint_losses(body, result, prediction)
        if self.protocol.calibrated:
            errors.update(
                camera_errors(self.aligner, measured, prediction, result.boxes, sequence, scored)
            )
        return errors

    def _scored_frames(self, count: int, truth: Optional[GroundTruth]) -> np.ndarray:
        """(F,) bool: frames that the protocol scores in 3D."""
        scored = np.ones(count, dtype=bool)
        if truth is not None and truth.valid is not None and self.protocol.use_valid:
            scored = truth.valid.cpu().numpy().astype(bool)
        whole_chunks = count // self.protocol.chunk * self.protocol.chunk
        scored[whole_chunks:] = False
        return scored


def _check_unique_names(records: SequenceOf[Record]) -> None:
    names = [record.name for record in records]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise InputError(
            f'the data set holds more than one sequence called {duplicates[0]!r}; results are stored by '
            f'name, so names must be unique'
        )


def _stacked_joints(before: Measured, after: Measured) -> Optional[np.ndarray]:
    """(3, F, J, 3) joints before and after adaptation and true joints; None without ground truth."""
    if before.joints is None or after.joints is None or after.true_joints is None:
        return None
    return np.stack([before.joints, after.joints, after.true_joints])


def _accelerate_across(records: list[Record]) -> list[Record]:
    """Acceleration errors over the concatenated scored frames of all sequences, as VIBE's evaluator computes them."""
    joints = [record.joints[:, _scored(record)] for record in records if record.joints is not None]
    if sum(array.shape[1] for array in joints) == 0:
        return records
    before, after, truth = np.concatenate(joints, axis=1)
    before_accel = _accelerations(before, truth)
    after_accel = _accelerations(after, truth)
    changed = []
    start = 0
    for record in records:
        if record.joints is not None and record.before is not None:
            scored = _scored(record)
            record = dataclasses.replace(
                record,
                before={**record.before, **_of_frames(before_accel, start, scored)},
                after={**record.after, **_of_frames(after_accel, start, scored)},
            )
            start += int(scored.sum())
        changed.append(record)
    return changed


def _scored(record: Record) -> np.ndarray:
    """(F,) bool: frames with 3D errors."""
    return ~np.isnan(record.after['mpjpe_mm'])


def _accelerations(joints: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """(F,) errors of acceleration and accelerations of the prediction, NaN for the first and the last frame."""
    arrays = dict(
        accel_mm=accel_error(joints, truth),
        accel_pred_mm=accel_error(joints, np.zeros_like(joints)),
    )
    return {
        key: np.pad(values, 1, constant_values=np.nan)[: len(joints)]
        for key, values in arrays.items()
    }


def _of_frames(
    values: dict[str, np.ndarray], start: int, scored: np.ndarray
) -> dict[str, np.ndarray]:
    """Values of a sequence whose first scored frame is ``start``; NaN where a frame is not scored."""
    parts = {}
    for key, array in values.items():
        parts[key] = np.full(len(scored), np.nan)
        parts[key][scored] = array[start : start + int(scored.sum())]
    return parts
