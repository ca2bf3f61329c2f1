"""Which tracks of a run are wrong by their own evidence, in words and in ``metrics.json``."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from rich.console import Console

from hrtk.apis.look.stored import stored_pairs
from hrtk.body_models import BodyModel
from hrtk.body_models.skeletons import index_map, joint_names, on_body
from hrtk.datasets.own.sides import Sides
from hrtk.datasets.own.video import VideoDataset
from hrtk.errors import InputError
from hrtk.evaluation.evidence import DoubtLimits, Doubts, TrackEvidence, find_doubts, track_evidence
from hrtk.files import write_text_atomically
from hrtk.geometry.boxes import to_image
from hrtk.geometry.camera import project
from hrtk.reading import read_json
from hrtk.results import Result
from hrtk.structures import Landmarks, Sequence
from hrtk.visualization.doubts import Doubt

_log = logging.getLogger(__name__)

CHUNK = 64  # frames whose joints are computed at once
LANDMARKS = 'blazepose33'
# What metrics.json tells as means over the frames.
MEANS = (
    'visible',
    'unseen',
    'jump',
    'side_disagreement',
    'bone_deviation',
    'reprojection',
    'spread',
)
# What a reason means, and the number that is printed with it.
REASONS = {
    'visible': 'few joints are visible',
    'unseen': 'arms or legs are not in the image or hidden, their pose is a guess',
    'jump': 'the keypoints jump',
    'exchanged': 'left and right were exchanged by the detector',
    'side_disagreement': 'the mirrored image has other sides',
    'bone_deviation': 'the 3D landmarks change their bone lengths',
    'reprojection': 'the body is not where the keypoints are',
    'spread': 'the estimator expects large errors',
    'frames': 'many frames contradict themselves',
    'side_margin': 'left and right of the whole track are a guess',
    'identity': 'it may be another person after people crossed',
}
# What DoNoHarm did to a frame that is not the adapted one.
REPLACED = 'DoNoHarm replaced the adapted body by the frozen one'
BLENDED = 'DoNoHarm blended the adapted body with the frozen one'


def report_doubts(
    dataset: VideoDataset, results: Path, body: BodyModel, metrics: Optional[Path] = None
) -> dict[str, Doubts]:
    """Prints a line for every doubtful track, with the reason.

    Args:
        dataset: the people.
        results: the folder of their results.
        body: the model to which the parameters of the results belong.
        metrics: ``metrics.json``, into whose sequences the doubts are written under ``doubts``; None for no file.

    Returns:
        What was found about every track, by its name; photographs have no evidence over time but the rest.

    Raises:
        InputError: a result is missing, damaged, or was computed from other data.
    """
    limits = DoubtLimits()
    console = Console(soft_wrap=True)
    doubts = {}
    entries = {}
    margins = {track.name: track.identity_margin for track in dataset.tracks}
    for sequence, result in stored_pairs(results, dataset):
        sides = dataset.sides.get(sequence.name)
        evidence = evidence_of(sequence, result, body, sides, margins[sequence.name])
        found = find_doubts(evidence, limits)
        doubts[sequence.name] = found
        text = describe(evidence, found)
        entries[sequence.name] = _entry(evidence, found, text)
        if found.doubtful:
            console.print(
                f'doubtful: {sequence.name}: {text}',
                highlight=False,
                markup=False,
            )
    if metrics is not None:
        _store(metrics, entries)
    return doubts


def evidence_of(
    sequence: Sequence,
    result: Result,
    body: BodyModel,
    sides: Optional[Sides],
    identity: Optional[np.ndarray] = None,
) -> TrackEvidence:
    """Collects what speaks for and against a track and its result.

    Args:
        sequence: with keypoints, and landmarks if there are any.
        result: of the sequence.
        body: the model of the result.
        sides: what was found about left and right, or None.
        identity: (F,) margins of the identity, or None.
    """
    evidence: dict[str, Any] = {'identity': identity}
    if sides is not None:
        # Only what is still exchanged is wrong.
        evidence['exchanged'] = sides.found & ~sides.exchanged
        evidence['side_disagreement'] = _remaining_disagreement(sides)
        evidence['side_margin'] = sides.margin
    if result.after.joint_spread is not None:
        evidence['joint_spread'] = result.after.joint_spread.numpy()
    if sequence.landmarks is not None:
        evidence['landmarks3d'] = _world_joints(sequence.landmarks, result.skeleton)
    return track_evidence(
        result.keypoints2d,
        result.skeleton,
        sequence.fps,
        projected2d=_projected_joints(result, body),
        image_size=result.image_size,
        **evidence,
    )


def describe(evidence: TrackEvidence, doubts: Doubts) -> str:
    """The reasons of a doubtful track in words, with shares of frames and typical values."""
    parts = []
    for reason in doubts.reasons:
        text = REASONS[reason]
        if reason == 'identity':
            frames = np.flatnonzero(doubts.frame_reasons[reason])
            margin = float(evidence.identity[frames].min())
            text = f'{text} (frames {frames[0]} to {frames[-1]} of the track, margin {margin:.1f})'
        elif reason in doubts.frame_reasons:
            share = doubts.frame_reasons[reason].mean()
            values = getattr(evidence, reason)
            median = float(np.nanmedian(values[doubts.frame_reasons[reason]]))
            text = f'{text} ({reason} {median:.2f} in {100 * share:.0f} % of the frames)'
        elif reason == 'side_margin':
            text = f'{text} (margin {evidence.side_margin:.1f})'
        else:
            text = f'{text} ({100 * doubts.frames.mean():.0f} %)'
        parts.append(text)
    return '; '.join(parts)


def doubtful_frames(
    dataset: Any, sequence: Sequence, result: Result, body: BodyModel
) -> list[Doubt]:
    """The doubtful frames of a track in order, each once, with its reasons in words.

    A frame is doubtful if it contradicts itself, or if :class:`~hrtk.adapters.DoNoHarm` did not keep its adaptation.

    Args:
        dataset: which the sequence is of; that of own footage knows about sides and identities.
        sequence: with keypoints, and landmarks if there are any.
        result: of the sequence.
        body: the model of the result.
    """
    reasons: dict[int, list[str]] = {}
    for found in (_contradictions(dataset, sequence, result, body), _not_kept(result)):
        for doubt in found:
            reasons.setdefault(doubt.frame, []).append(doubt.reason)
    return [Doubt(frame, '; '.join(reasons[frame])) for frame in sorted(reasons)]


def _contradictions(
    dataset: Any, sequence: Sequence, result: Result, body: BodyModel
) -> Iterator[Doubt]:
    """One for every reason against a frame; none for keypoints without arms and legs, which nothing speaks against."""
    sides = getattr(dataset, 'sides', {}).get(sequence.name)
    margins = {track.name: track.identity_margin for track in getattr(dataset, 'tracks', ())}
    try:
        evidence = evidence_of(sequence, result, body, sides, margins.get(sequence.name))
    except InputError:
        return
    found = find_doubts(evidence)
    for frame in np.flatnonzero(found.frames).tolist():
        for reason in found.reasons_of(frame):
            yield Doubt(frame, REASONS[reason])


def _not_kept(result: Result) -> Iterator[Doubt]:
    """The frames whose adaptation DoNoHarm did not keep; none of another adapter's result."""
    share = result.after.adapted_share
    if share is None:
        return
    for frame, value in enumerate(share.tolist()):
        if value <= 0:
            yield Doubt(frame, REPLACED)
        elif value < 1:
            yield Doubt(frame, BLENDED)


def _remaining_disagreement(sides: Sides) -> Optional[np.ndarray]:
    """(F, 2) probability that the mirrored image yields other sides than the repaired keypoints."""
    if sides.disagreement is None:
        return None
    return np.where(sides.exchanged, 1 - sides.disagreement, sides.disagreement)


def _world_joints(landmarks: Landmarks, skeleton: str) -> np.ndarray:
    """(F, K, 3) the world landmarks of the joints of a list; NaN for other joints and frames without a person."""
    index = np.array(index_map(LANDMARKS, skeleton, nearest=True))
    joints = landmarks.world.numpy()[:, index.clip(0)].astype(np.float64)
    joints[:, index < 0] = np.nan
    joints[~landmarks.valid.numpy()] = np.nan
    return joints


def _projected_joints(result: Result, body: BodyModel) -> np.ndarray:
    """(F, K, 2) joints of the bodies in the image, px; NaN for keypoints that the body lacks."""
    skeleton, compared = on_body(result.skeleton)
    projected = np.full((len(result), len(joint_names(result.skeleton)), 2), np.nan)
    for start in range(0, len(result), CHUNK):
        frames = slice(start, start + CHUNK)
        with torch.no_grad():
            joints = body.joints(result.after.rotmat[frames], result.after.betas[frames], skeleton)
            camera = result.after.camera[frames]
            boxes = torch.as_tensor(result.boxes[frames])
            xy = to_image(project(joints, camera), boxes).numpy()
        projected[frames, list(compared)] = xy
    return projected


def stored_doubts(metrics: Path, fingerprint: str) -> dict[str, str]:
    """What speaks against the doubtful tracks of a run, in words, by their names.

    Args:
        metrics: the file ``metrics.json`` of the run; empty if it is missing, unreadable or of another run. Damaged
            entries are left out, and the log counts them.
        fingerprint: of the run.
    """
    try:
        content = read_json(metrics, kind=dict)
    except InputError:
        return {}
    if content.get('fingerprint') != fingerprint:
        return {}
    sequences = content.get('per_sequence', [])
    if not isinstance(sequences, list):
        sequences = [sequences]
    texts = {}
    damaged = 0
    for sequence in sequences:
        try:
            doubts = sequence.get('doubts', {})
            if doubts.get('doubtful'):
                text = doubts.get('text')
                if text is None:
                    text = ', '.join(doubts['reasons'])
                texts[str(sequence['name'])] = str(text)
        except (AttributeError, KeyError, TypeError):  # damaged, and still JSON
            damaged += 1
    if damaged:
        _log.warning(
            '%s: the doubts about %d of %d tracks are damaged and left out',
            metrics,
            damaged,
            len(sequences),
        )
    return texts


def _entry(evidence: TrackEvidence, doubts: Doubts, text: str) -> dict[str, Any]:
    """What ``metrics.json`` tells about a track: means over frames, and the reasons for doubt."""
    means = {}
    for name in MEANS:
        values = getattr(evidence, name)
        known = np.isfinite(values)
        if known.any():
            means[name] = round(float(values[known].mean()), 4)
    if np.isfinite(evidence.identity).any():
        means['identity_margin'] = round(float(np.nanmin(evidence.identity)), 2)
    if np.isfinite(evidence.side_margin):
        means['side_margin'] = round(evidence.side_margin, 2)
    return dict(
        doubtful=doubts.doubtful,
        reasons=list(doubts.reasons),
        text=text,
        frames=int(doubts.frames.sum()),
        evidence=means,
    )


def _store(path: Path, entries: dict[str, dict[str, Any]]) -> None:
    content = read_json(path, kind=dict)
    for sequence in content.get('per_sequence', []):
        if sequence['name'] in entries:
            sequence['doubts'] = entries[sequence['name']]
    write_text_atomically(path, json.dumps(content, indent=1) + '\n')
