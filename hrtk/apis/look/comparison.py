"""Stored runs scored again, and the two rows that a report compares."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from hrtk.apis.look.stored import (
    adapter_name,
    stored_body,
    stored_config,
    stored_pairs,
    stored_results,
)
from hrtk.errors import InputError, named_config
from hrtk.evaluation.protocols import Protocol
from hrtk.evaluation.report import BEFORE, Record, summarise
from hrtk.registry import DATASETS, METRICS
from hrtk.results import Result

Summary = dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class ScoredRun:
    """A stored run, scored again.

    Attributes:
        name: of its work dir.
        folder: of the results.
        results: by name of the sequence, in the order of the data set.
        records: one per sequence, in the order of the data set.
        protocol: of the records.
    """

    name: str
    folder: Path
    results: dict[str, Result]
    records: list[Record]
    protocol: Protocol

    @property
    def adapter(self) -> str:
        """Name of the adapted row."""
        return self.records[0].adapter


class Scorer:
    """Scores stored runs with the data set, the body and the first metric of one of them.

    Args:
        folder: results of the run that defines these.
    """

    def __init__(self, folder: Path) -> None:
        cfg = stored_config(folder / 'run.json')
        with named_config(folder / 'run.json'):
            self.dataset = DATASETS.build(cfg.dataset)
        self.body = stored_body(folder)
        self.evaluator = cfg.evaluator
        if isinstance(cfg.evaluator, list):
            self.evaluator = cfg.evaluator[0]

    def score(self, name: str, folder: Path) -> ScoredRun:
        """Scores the results in a folder.

        Raises:
            InputError: results are missing, damaged or of other data.
        """
        metric = self._metric(folder)
        results = {}
        for sequence, result in stored_pairs(folder, self.dataset):
            metric.process(sequence, [result])
            results[sequence.name] = result
        return ScoredRun(name, folder, results, metric.results, metric.protocol)

    def score_reference(self, name: str, folder: Path, run: ScoredRun) -> ScoredRun:
        """Scores the results in a folder for a comparison with another run; their 2D keypoints may differ.

        Raises:
            InputError: a sequence of ``run`` is missing or has other frames or boxes.
        """
        stored = stored_results(folder)
        metric = self._metric(folder)
        results = {}
        for index, (sequence_name, result) in enumerate(run.results.items()):
            reference = stored.get(sequence_name)
            if reference is None:
                raise InputError(
                    f'{folder}: has no result of the sequence {sequence_name!r}; compare runs on the same '
                    f'data'
                )
            same_boxes = np.array_equal(reference.boxes, result.boxes)
            if reference.frame_ids != result.frame_ids or not same_boxes:
                raise InputError(
                    f'{folder}: the sequence {sequence_name!r} has other frames or boxes than in '
                    f'{run.folder}; compare runs on the same data'
                )
            metric.process(self.dataset[index], [reference])
            results[sequence_name] = reference
        return ScoredRun(name, folder, results, metric.results, metric.protocol)

    def _metric(self, folder: Path) -> Any:
        """A new metric for the results in a folder."""
        cfg = stored_config(folder / 'run.json')
        with named_config(folder / 'run.json'):
            metric = METRICS.build(self.evaluator)
        metric.dataset_meta = dict(
            getattr(self.dataset, 'metainfo', None) or {},
            body=self.body,
            adapter=adapter_name(cfg.adapter),
        )
        return metric


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The rows ``before`` and ``after`` of a report.

    Attributes:
        rows: their names by role, ``'before'`` and ``'after'``. The frozen baseline has only ``'before'``: the source
            model, which other runs start from.
        summary: means over all sequences, by row of the table.
        results: by name of the sequence, with the predictions of the compared rows as ``before`` and ``after``.
        records: one per sequence, with the errors of the compared rows as ``before`` and ``after``.
    """

    rows: dict[str, str]
    summary: Summary
    results: dict[str, Result]
    records: list[Record]

    @property
    def adapted(self) -> bool:
        """Whether there is a row ``after``."""
        return 'after' in self.rows

    def errors(self, record: Record) -> dict[str, dict[str, np.ndarray]]:
        """The errors of a sequence by role and by name of the metric."""
        by_role = {'before': record.before or {}, 'after': record.after}
        return {role: by_role[role] for role in self.rows}


def compare_with_source(run: ScoredRun) -> Comparison:
    """Compares a run with its own frozen source model."""
    summary = summarise(run.records)
    rows = {'before': BEFORE}
    if len(summary) > 1:
        rows['after'] = run.adapter
    return Comparison(rows, summary, run.results, run.records)


def compare_runs(run: ScoredRun, reference: ScoredRun) -> Comparison:
    """Compares the adapted models of two runs; ``reference`` is the row ``before``."""
    before = f'{reference.adapter} ({reference.name})'
    after = f'{run.adapter} ({run.name})'
    if before == after:
        before = f'{reference.adapter} ({reference.folder.name})'
        after = f'{run.adapter} ({run.folder.name})'
    means = summarise(run.records)
    summary = {}
    if len(means) > 1:
        summary[BEFORE] = means[BEFORE]
    summary[before] = summarise(reference.records)[reference.adapter]
    summary[after] = means[run.adapter]
    results = {
        name: dataclasses.replace(result, before=reference.results[name].after)
        for name, result in run.results.items()
    }
    records = [
        dataclasses.replace(record, before=reference_record.after)
        for record, reference_record in zip(run.records, reference.records)
    ]
    return Comparison({'before': before, 'after': after}, summary, results, records)
