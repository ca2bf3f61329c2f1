"""``report``: a run, alone or compared with another one, as one HTML page."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.apis.doubts import stored_doubts
from hrtk.apis.look.comparison import (
    Comparison,
    ScoredRun,
    Scorer,
    compare_runs,
    compare_with_source,
)
from hrtk.apis.look.report_films import Films, main_error
from hrtk.apis.look.report_tables import means_table, sequence_table
from hrtk.apis.look.stored import RUN_AGAIN, latest_folder
from hrtk.errors import InputError
from hrtk.evaluation.report import WORSE_RULE, Record
from hrtk.files import write_text_atomically
from hrtk.reading import read_json
from hrtk.visualization.export import Placing
from hrtk.visualization.report import Page, Track, page_html, plotly_script


def report(
    work_dir: str | Path,
    *,
    before: Optional[str | Path] = None,
    output: Optional[str | Path] = None,
    sequences: str = '*',
    most: int = 4,
    frames: int = 120,
    focal: Optional[float] = None,
    fov: Optional[float] = None,
    viewing_ray: bool = True,
) -> Path:
    """Writes one HTML page of a run: metrics, videos, errors over time, worst frames and a 3D player.

    The data set that the run's config names is read again, for its images and its ground truth.

    Args:
        work_dir: of the run, or one of the folders in its ``results/``.
        before: a run of the same sequences to compare with; default the frozen source model of the run itself.
        output: path of the page; default ``report.html`` in ``work_dir``.
        sequences: shell pattern; videos and plots show sequences whose name matches.
        most: largest number of sequences with videos and plots, those with the largest errors. The tables have all.
        frames: largest number of frames of a video and of the 3D player; of longer sequences they show every second,
            third, ... frame.
        focal, fov: as of :func:`hrtk.apis.look.exporting.export`.
        viewing_ray: whether the bodies of the 3D player and of side views are turned by the viewing ray of their crop;
            only for footage without ground truth.

    Returns:
        The path of the page.

    Raises:
        InputError: plotly is missing, or results are missing, damaged or of other data.
    """
    placing = Placing(focal, fov, viewing_ray)
    plotly_script()  # raises before the long work if plotly is missing
    for key, value in (('most', most), ('frames', frames)):
        if value < 1:
            raise InputError(f'report: {key} must be at least 1, not {value}')
    work_dir = Path(work_dir)
    folder = latest_folder(work_dir)
    scorer = Scorer(folder)
    run = scorer.score(_folder_name(work_dir), folder)
    reference, comparison = _compared(scorer, run, before)
    matching = _by_error(comparison.records, sequences, folder)
    tracks, clips = Films(scorer, comparison, placing, run.protocol, frames).build(matching[:most])
    page = Page(
        title=_title(run, comparison, reference),
        rows=_row_names(comparison, tracks),
        facts=_facts(run, reference),
        tables=[means_table(comparison), sequence_table(comparison)],
        remarks=[*_remarks(comparison, len(tracks), len(matching)), *_doubts(folder)],
        tracks=tracks,
        faces=scorer.body.faces.cpu().numpy(),
        clips=clips,
    )
    path = Path(output or work_dir / 'report.html')
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, page_html(page))
    return path


def _compared(
    scorer: Scorer, run: ScoredRun, before: Optional[str | Path]
) -> tuple[Optional[ScoredRun], Comparison]:
    """The run to compare with, None for the frozen source model of ``run`` itself, and the comparison."""
    if before is None:
        return None, compare_with_source(run)
    before = Path(before)
    reference = scorer.score_reference(_folder_name(before), latest_folder(before), run)
    return reference, compare_runs(run, reference)


def _by_error(records: list[Record], pattern: str, folder: Path) -> list[int]:
    """Indices of the sequences whose name matches, the one with the largest mean error first."""
    matching = [
        index for index, record in enumerate(records) if fnmatch.fnmatchcase(record.name, pattern)
    ]
    if not matching:
        names = [record.name for record in records[:8]]
        raise InputError(f'{folder}: no sequence fits {pattern!r}; there are {", ".join(names)}')

    def mean_error(index: int) -> float:
        errors = records[index].after[main_error(records[index])]
        return float(np.nan_to_num(np.nanmean(errors)))

    return sorted(matching, key=mean_error, reverse=True)


def _title(run: ScoredRun, comparison: Comparison, reference: Optional[ScoredRun]) -> str:
    title = f'{run.adapter}: {run.name}'
    if reference is not None:
        title += f', against {comparison.rows["before"]}'
    return title


def _row_names(comparison: Comparison, tracks: list[Track]) -> dict[str, str]:
    """Names of all roles that the page shows."""
    if any('truth' in track.meshes for track in tracks):
        return {**comparison.rows, 'truth': 'truth'}
    return comparison.rows


def _facts(run: ScoredRun, reference: Optional[ScoredRun]) -> list[tuple[str, Any]]:
    """Config, data and versions of the run."""
    path = run.folder / 'run.json'
    stored = read_json(path, kind=dict)
    if 'seed' not in stored or not isinstance(stored.get('versions'), dict):
        raise InputError(f'{path}: lacks seed or versions; {RUN_AGAIN}')
    facts = [('config', stored.get('config_file') or 'none'), ('results', run.folder)]
    if reference is not None:
        facts.append(('compared with', reference.folder))
    sources = sorted({record.source for record in run.records})
    versions = [f'{name} {version}' for name, version in stored['versions'].items()]
    facts += [
        ('seed', stored['seed']),
        ('protocol', f'{run.protocol.name} ({run.protocol.summary})'),
        ('2D keypoints', ', '.join(sources)),
        ('data', _data_text(run.records)),
        ('versions', ', '.join(versions)),
    ]
    return facts


def _data_text(records: list[Record]) -> str:
    frames = sum(record.frames for record in records)
    if any('mpjpe_mm' in record.after for record in records):
        unscored = sum(record.unscored for record in records)
        truth = f'{unscored} of them without valid 3D truth'
    else:
        truth = 'without 3D ground truth, so the reprojection error is the only one'
    noun = 'sequence'
    if len(records) != 1:
        noun = 'sequences'
    return f'{len(records)} {noun}, {frames} frames, {truth}'


def _remarks(comparison: Comparison, shown: int, matching: int) -> list[str]:
    remarks = []
    if comparison.adapted:
        remarks.append(f'Worse than the frozen source model of the same run: {WORSE_RULE}.')
    if shown < matching:
        remarks.append(
            f'Videos and plots show the {shown} of {matching} sequences with the largest errors.'
        )
    return remarks


def _doubts(folder: Path) -> list[str]:
    """A remark for every track that is wrong by its own evidence, if ``hrtk infer`` made the results."""
    found = stored_doubts(folder.resolve().parents[1] / 'metrics.json', folder.name)
    return [f'Doubtful: {name}: {text}.' for name, text in found.items()]


def _folder_name(path: Path) -> str:
    return path.resolve().name
