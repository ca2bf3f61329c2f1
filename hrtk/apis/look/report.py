"""``report``: a run, alone or beside another, as one HTML page to look at."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
from pathlib import Path
from typing import Any, Optional

import numpy as np

from hrtk.apis.look.stored import (
    adapter_name,
    bodies_by_role,
    latest_folder,
    stored_body,
    stored_config,
    stored_pairs,
)
from hrtk.engine.output_hook import Panels
from hrtk.errors import InputError
from hrtk.evaluation.report import BEFORE, COLUMNS, WORSE_RULE, Record, cell_text, summarise
from hrtk.files import write_atomically
from hrtk.registry import DATASETS, METRICS
from hrtk.results import Result
from hrtk.structures import Sequence
from hrtk.visualization.playback import encode_film, pelvis_meshes
from hrtk.visualization.report import (
    Page,
    Table,
    Track,
    Worst,
    page_html,
    plotly_script,
    spaced_maxima,
)

ERRORS = (
    'mpjpe_mm',
    'pa_mpjpe_mm',
    'pve_mm',
    'reprojection_px',
    'accel_mm',
    'iou',
)  # those over time, in order
FILM_HEIGHT = 400
WORST = 4
WORDS = {'reprojection_px': ('reprojection error', 'px'), 'iou': ('mask IoU', '%')}
NO_CHANGE = ('skipped_updates', 'worse_share')


def report(
    work_dir: str | Path,
    *,
    before: Optional[str | Path] = None,
    output: Optional[str | Path] = None,
    sequences: str = '*',
    most: int = 4,
    frames: int = 120,
) -> Path:
    """Writes one HTML page of a run: numbers, films, errors over time, worst frames and a 3D player.

    The data set that the run's config names is read again, for its pictures and its ground truth.

    Args:
        work_dir: of the run, or one of the folders in its ``results/``.
        before: the run it is compared with, of the same sequences; default the frozen start model of the run itself.
        output: the page; default ``report.html`` in ``work_dir``.
        sequences: pattern of the shell; of the sequences that fit, films and plots are shown.
        most: of so many at most, those with the largest errors. The tables have all.
        frames: most frames of a film and of the 3D player; of longer sequences they show every second, third, ...

    Returns:
        The page's path.

    Raises:
        InputError: plotly is missing, or results are missing, damaged or of other data.
    """
    plotly_script()  # before the work
    for key, value in (('most', most), ('frames', frames)):
        if value < 1:
            raise InputError(f'report: {key} must be at least 1, not {value}')
    run = _Run(Path(work_dir), None if before is None else Path(before))
    worst_first = sorted(
        (record for record in run.records if fnmatch.fnmatchcase(record.name, sequences)),
        key=lambda record: -np.nan_to_num(np.nanmean(record.after[_main_error(record)])),
    )
    if not worst_first:
        raise InputError(
            f'{run.folder}: no sequence fits {sequences!r}; there are '
            f'{", ".join(record.name for record in run.records[:8])}'
        )
    chosen = [record.name for record in worst_first[:most]]
    tracks = dict(run.tracks(chosen, frames))
    path = Path(output) if output is not None else Path(work_dir) / 'report.html'
    text = page_html(run.page([tracks[name] for name in chosen], len(worst_first)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


class _Run:
    """A run scored again, and the one it is compared with."""

    def __init__(self, work_dir: Path, before: Optional[Path]) -> None:
        self.work_dir, self.folder = work_dir, latest_folder(work_dir)
        self.cfg = stored_config(self.folder / 'run.json')
        self.dataset, self.body = DATASETS.build(self.cfg.dataset), stored_body(self.folder)
        self.results = {}
        self.metric = self.metric_for(self.folder)
        for sequence, result in stored_pairs(self.folder, self.dataset):
            self.metric.process(sequence, [result])
            self.results[sequence.name] = result
        self.records: list[Record] = self.metric.results
        summary = summarise(self.records)
        self.name = list(summary)[-1]
        self.other = None if before is None else _Other(latest_folder(before), self)
        # The frozen baseline has nothing after it: what it shows is what others start from.
        self.alone = self.other is None and len(summary) == 1
        if self.other is None:
            self.summary = summary
            self.rows = {'before': BEFORE} if self.alone else {'before': BEFORE, 'after': self.name}
        else:
            own, others = (
                f'{self.name} ({_short(work_dir)})',
                f'{self.other.name} ({_short(before)})',
            )
            if own == others:
                own, others = (
                    f'{self.name} ({self.folder.name})',
                    f'{self.other.name} ({self.other.folder.name})',
                )
            frozen = {BEFORE: summary[BEFORE]} if len(summary) == 2 else {}
            self.summary = {**frozen, others: self.other.summary, own: summary[self.name]}
            self.rows = {'before': others, 'after': own}

    def metric_for(self, folder: Path) -> Any:
        """The run's first metric, ready for the results in a folder, which may be another run's."""
        part = self.cfg.evaluator[0] if isinstance(self.cfg.evaluator, list) else self.cfg.evaluator
        metric = METRICS.build(part)
        cfg = stored_config(folder / 'run.json')
        metric.dataset_meta = dict(
            getattr(self.dataset, 'metainfo', None) or {},
            body=self.body,
            adapter=adapter_name(cfg.adapter),
        )
        return metric

    def tracks(self, names: list[str], frames: int) -> Any:
        """What the page shows of some sequences, by name."""
        for index, record in enumerate(self.records):
            if record.name in names:
                yield record.name, self._track(self.dataset[index], index, frames)

    def _track(self, sequence: Sequence, index: int, most: int) -> Track:
        result, record = self.results[sequence.name], self.records[index]
        compared = record.before
        if self.other is not None:
            result = dataclasses.replace(result, before=self.other.results[sequence.name].after)
            compared = self.other.records[index].after
        panels = Panels(self.body, sequence, result)
        step = math.ceil(len(sequence) / most)
        shown = range(0, len(sequence), step)
        names = ('input', 'before') if self.alone else ('before', 'after')
        film = encode_film(panels.film(shown, names, FILM_HEIGHT), sequence.fps / step)
        by_role = dict(zip(('before', 'after'), (compared, record.after)))
        errors = {
            ', '.join(_words(key)): {role: by_role[role][key] for role in self.rows}
            for key in ERRORS
            if key in record.after
        }
        return Track(
            sequence.name,
            sequence.frame_ids,
            shown,
            film,
            self._film_text(step, len(sequence)),
            errors,
            self._meshes(sequence, result, shown),
            self._worst(panels, record, compared),
        )

    def _film_text(self, step: int, count: int) -> str:
        left = (
            'input, right: the body of' if self.alone else f'{self.rows["before"]} (pink), right:'
        )
        which = f'all {count} frames' if step == 1 else f'every {_ordinal(step)} of {count} frames'
        last = f'{self.rows["before"]} (pink)' if self.alone else f'{self.rows["after"]} (blue)'
        return f'left: {left} {last}; {which}'

    def _meshes(self, sequence: Sequence, result: Result, shown: range) -> dict[str, np.ndarray]:
        part = slice(shown.start, shown.stop, shown.step)
        return {
            role: pelvis_meshes(self.body, rotmat[part], betas[part])
            for role, (rotmat, betas) in bodies_by_role(sequence, result, not self.alone).items()
        }

    def _worst(
        self, panels: Panels, record: Record, compared: dict[str, np.ndarray]
    ) -> list[Worst]:
        key, found = _main_error(record), []
        names = ('input', 'before') if self.alone else ('input', 'before', 'after', 'side')
        (label, unit), values = _words(key), dict(before=compared[key], after=record.after[key])
        for t in spaced_maxima(record.after[key], WORST):
            said = ', '.join(
                f'{self.rows[role]} {values[role][t]:.1f} {unit}' for role in self.rows
            )
            found.append(
                Worst(
                    t,
                    panels.row(t, names),
                    f'Frame {t} ({panels.sequence.frame_ids[t]}): {label} of {said}.',
                )
            )
        return found

    def page(self, tracks: list[Track], fitting: int) -> Page:
        """Everything together."""
        run = json.loads((self.folder / 'run.json').read_text())
        sources = sorted({record.source for record in self.records})
        known = any('mpjpe_mm' in record.after for record in self.records)
        scored = (
            f'{sum(record.unscored for record in self.records)} of them without valid 3D truth'
            if known
            else ('without 3D ground truth, so the reprojection error is the only one')
        )
        facts = [
            ('config', run.get('config_file') or 'none'),
            ('results', self.folder),
            *([] if self.other is None else [('compared with', self.other.folder)]),
            ('seed', run['seed']),
            ('protocol', f'{self.metric.protocol.name} ({self.metric.protocol.summary})'),
            ('2D keypoints', ', '.join(sources)),
            (
                'data',
                f'{len(self.records)} sequences, {sum(record.frames for record in self.records)} frames, '
                f'{scored}',
            ),
            ('versions', ', '.join(f'{key} {value}' for key, value in run['versions'].items())),
        ]
        remarks = (
            []
            if self.alone
            else [f'Worse than the frozen start model of the same run: {WORSE_RULE}.']
        )
        if len(tracks) < fitting:
            remarks.append(
                f'Films and plots show the {len(tracks)} of {fitting} sequences with the largest errors.'
            )
        rows = (
            {**self.rows, 'truth': 'truth'}
            if any('truth' in track.meshes for track in tracks)
            else self.rows
        )
        title = f'{self.name}: {_short(self.work_dir)}' + (
            '' if self.other is None else f', against {rows["before"]}'
        )
        return Page(
            title,
            rows,
            facts,
            [_means(self.summary, list(self.rows.values())), self._by_sequence()],
            remarks,
            tracks,
            self.body.faces.cpu().numpy(),
        )

    def _by_sequence(self) -> Table:
        keys = [
            key
            for key in COLUMNS
            if key in ('mpjpe_mm', 'pa_mpjpe_mm', 'pve_mm', 'reprojection_px')
            and any(key in record.after for record in self.records)
        ]
        header, rows = ['sequence', 'frames'], []
        for key in keys:
            header += [f'{COLUMNS[key]}\n{name}' for name in self.rows.values()]
        for index, record in enumerate(self.records):
            compared = record.before if self.other is None else self.other.records[index].after
            cells = [record.name, str(record.frames)]
            for key in keys:
                for errors in (compared, record.after)[: len(self.rows)]:
                    known = errors.get(key, np.zeros(0))
                    cells.append(f'{np.nanmean(known):.1f}' if np.isfinite(known).any() else '')
            rows.append(cells)
        return Table('Each sequence, means over its frames', header, rows)


class _Other:
    """The run that another is compared with, scored as that one is."""

    def __init__(self, folder: Path, run: _Run) -> None:
        self.folder = folder
        stored = {result.name: result for result in map(Result.load, sorted(folder.glob('*.npz')))}
        metric = run.metric_for(folder)
        for index, (name, result) in enumerate(run.results.items()):
            other = stored.get(name)
            if other is None:
                raise InputError(
                    f'{folder}: has no result of the sequence {name!r}; compare runs on the same data'
                )
            if other.frame_ids != result.frame_ids or not np.array_equal(other.boxes, result.boxes):
                raise InputError(
                    f'{folder}: the sequence {name!r} has other frames or boxes than in {run.folder}; '
                    f'compare runs on the same data'
                )
            metric.process(run.dataset[index], [other])
        self.results, self.records = stored, metric.results
        self.name, self.summary = list(summarise(self.records).items())[-1]


def _means(summary: dict[str, dict[str, float]], compared: list[str]) -> Table:
    """The run's table, and the change between the rows that are compared."""
    keys = [key for key in COLUMNS if any(key in row for row in summary.values())]
    rows = [
        [name, *(cell_text(key, row.get(key)) for key in keys)] for name, row in summary.items()
    ]
    if len(compared) == 2:
        first, last = (summary[name] for name in compared)
        rows.append(
            [
                'change',
                *(
                    f'{last[key] - first[key]:+.1f}'
                    if key in first and key in last and key not in NO_CHANGE
                    else ''
                    for key in keys
                ),
            ]
        )
    return Table('Means over all scored frames', ['', *(COLUMNS[key] for key in keys)], rows)


def _words(key: str) -> tuple[str, str]:
    """Name and unit of an error in running text."""
    name, unit = COLUMNS[key].split('\n')
    return WORDS.get(key, (name, unit))


def _main_error(record: Record) -> str:
    known = 'mpjpe_mm' in record.after and np.isfinite(record.after['mpjpe_mm']).any()
    return 'mpjpe_mm' if known else 'reprojection_px'


def _short(path: Path) -> str:
    return path.resolve().name


def _ordinal(number: int) -> str:
    return {2: 'second', 3: 'third'}.get(number, f'{number}th')
