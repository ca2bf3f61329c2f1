"""The plan of a table: which rows this machine can compute, and the runs of these rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from hrtk.apis.adaptation import load_config
from hrtk.apis.assets import ROOT, files_of, missing_files
from hrtk.apis.config_check import PARTS, check_arguments, obstacles_of
from hrtk.apis.network_test import fingerprint_with_files, part_to_test
from hrtk.apis.tables.network_rows import check_checkpoint, training_fingerprint
from hrtk.apis.tables.runs import Run
from hrtk.apis.tables.table import Row, Table
from hrtk.apis.train import KEYS, REQUIRED
from hrtk.engine.runner import check_keys
from hrtk.engine.store import fingerprint
from hrtk.errors import InputError, located
from hrtk.models.checkpoints import find_weights
from hrtk.registry import ADAPTERS


def obstacles_of_rows(table: Table) -> dict[str, list[str]]:
    """Why rows cannot be computed on this machine, by label.

    Raises:
        InputError: a config is wrong; all of them are checked before any part is built.
    """
    stages = {row.label: _configs_of_stages(table, row) for row in table.rows}
    for row in table.rows:
        place = _place(table, row)
        for stage, cfg in stages[row.label]:
            with located(place):
                parts = checked_parts(stage, cfg, stage is row)
            check_arguments(parts, f'{place}, {cfg.filename}')
        check_checkpoint(row, stages[row.label][0][1], place)
    cache: dict[str, Optional[str]] = {}
    obstacles = {}
    for row in table.rows:
        reasons: list[str] = []
        for stage, cfg in stages[row.label]:
            if stage.tests_network:
                reasons += _missing_of_network(stage, cfg, stage is row)
            else:
                reasons += obstacles_of(cfg, cache)
        if reasons:
            obstacles[row.label] = list(dict.fromkeys(reasons))
    return obstacles


def planned_runs(table: Table, rows: Sequence[Row], work_dir: Path) -> list[Run]:
    """The runs of rows, one per seed, in the order of their execution.

    The name of a run's folder is a hash of everything that decides its result. Rows of one training share its folder.
    Rows whose preparations continue each other share them; the longest is run first and leaves the states of the
    others behind.

    Args:
        table: the table.
        rows: those to compute.
        work_dir: folder of all tables and runs.
    """
    runs: list[Run] = []
    for row in rows:
        for seed in table.seeds:
            runs.append(_run(table, row, seed, work_dir))
    runs = _with_kept_checkpoints(runs)
    return _with_shared_preparations(runs, work_dir)


def _read(table: Table, row: Row, seed: int) -> Config:
    with located(_place(table, row)):
        return load_config(row.config, _options(table, row, seed))


def _place(table: Table, row: Row) -> str:
    return f'{table.file}, {row.label!r}'


def _options(table: Table, row: Row, seed: int) -> dict[str, Any]:
    seeds = dict.fromkeys(table.seed_keys, seed)
    if row.tests_network:
        return {**row.options, **seeds, **_start_of(table, row, seed)}
    return {'outputs': None, **row.options, **seeds}


def _configs_of_stages(table: Table, row: Row) -> list[tuple[Row, Config]]:
    """A row and the trainings before it, with their configs at the table's first seed."""
    stages = []
    stage: Optional[Row] = row
    while stage is not None:
        stages.append((stage, _read(table, stage, table.seeds[0])))
        stage = stage.pretraining
    return stages


def _start_of(table: Table, row: Row, seed: int) -> dict[str, str]:
    """The option of a row that stands for the checkpoint of its pretraining: the name of that training."""
    if row.pretraining is None:
        return {}
    return {row.pretraining.start: _training_name(table, row.pretraining, seed)}


def _training_name(table: Table, row: Row, seed: int) -> str:
    """Name of the folder of a row's training."""
    return f'{row.config.stem}-{training_fingerprint(_read(table, row, seed))}'


def _pretraining(
    table: Table, row: Optional[Row], seed: int, work_dir: Path
) -> Optional[dict[str, Any]]:
    """The plan of an earlier stage, see :class:`hrtk.apis.tables.runs.Run`."""
    if row is None:
        return None
    return dict(
        config=str(row.config),
        options=_options(table, row, seed),
        folder=str(work_dir / 'trainings' / _training_name(table, row, seed)),
        start=row.start,
        pretraining=_pretraining(table, row.pretraining, seed, work_dir),
    )


def checked_parts(row: Row, cfg: Config, tested: bool = True) -> list[Any]:
    """The parts of a row's config whose objects its numbers come from.

    Args:
        row: the row.
        cfg: its config.
        tested: whether the test part counts; not for earlier stages, whose checkpoints alone matter.

    Raises:
        InputError: the config has an unknown key or lacks one, or is of another kind than the row.
    """
    if not row.tests_network:
        check_keys(cfg)
        return [cfg[key] for key in PARTS]
    if row.cost:
        return [cfg.model.network]
    parts = []
    if tested:
        part = part_to_test(cfg)
        parts += [part.dataloader['dataset'], part.evaluator]
    if row.train:
        check_keys(cfg, KEYS, REQUIRED)
    parts.append(cfg.model)
    if row.train:
        parts.append(cfg.train_dataloader['dataset'])
        if cfg.get('val_dataloader'):
            parts.append(cfg.val_dataloader['dataset'])
    return parts


def _missing_of_network(row: Row, cfg: Config, tested: bool) -> list[str]:
    """The missing files of a row that tests a network.

    Its parts are not built here: the data of a training can take minutes.
    """
    reasons = missing_files({'parts': _parts_with_files(row, cfg, tested)})
    if row.weights is not None and not row.weights.startswith(f'{ROOT}/'):
        try:
            find_weights(row.weights)
        except InputError as error:
            reasons.append(str(error))
    return reasons


def _parts_with_files(row: Row, cfg: Config, tested: bool) -> list[Any]:
    """The parts of a row's config that name the files that it needs."""
    parts = checked_parts(row, cfg, tested)
    if row.train and row.pretraining is None:
        parts.append(cfg.get('load_from'))
    return [*parts, row.weights]


def representative_rows(table: Table) -> list[Row]:
    """The rows of a table; of a crossed one those that bring a new config or a new option.

    Every file and every option of a crossed table is that of one of them, at a fraction of the configs to read.
    """
    rows = []
    seen: set[str] = set()
    for row in table.rows:
        parts = {str(row.config), *map(str, row.options.items())}
        if row.cell is None or not parts <= seen:
            rows.append(row)
        seen |= parts
    return rows


def files_of_rows(table: Table) -> list[str]:
    """The files and folders below the data folder that the rows of a table and their pretrainings name, each once."""
    files: dict[str, None] = {}
    for row in representative_rows(table):
        for stage, cfg in _configs_of_stages(table, row):
            parts = _parts_with_files(stage, cfg, stage is row)
            files.update(dict.fromkeys(files_of({'parts': parts})))
    return list(files)


def _run(table: Table, row: Row, seed: int, work_dir: Path) -> Run:
    cfg = _read(table, row, seed)
    name = row.config.stem
    training = None
    if row.cost:
        parts: dict[str, Any] = dict(network=cfg.model.network, cost=row.cost)
        digest = fingerprint_with_files(parts)
    elif row.tests_network:
        part = part_to_test(cfg)
        parts = dict(model=cfg.model, test=part, weights=row.weights)
        if row.train:
            training = work_dir / 'trainings' / _training_name(table, row, seed)
            parts.update(training=training.name, checkpoint=row.checkpoint)
        digest = fingerprint_with_files(parts)
    else:
        parts = {key: cfg.get(key) for key in (*PARTS, 'randomness')}
        if row.joints is not None:
            parts['joints'] = row.joints
        if row.pretraining is not None:
            parts['pretraining'] = _training_name(table, row.pretraining, seed)
        digest = fingerprint(parts)
    return Run(
        label=row.label,
        config=row.config,
        seed=seed,
        options=_options(table, row, seed),
        folder=work_dir / 'runs' / f'{name}-{digest[:8]}',
        joints=row.joints,
        weights=row.weights,
        training=training,
        checkpoint=row.checkpoint,
        pretraining=_pretraining(table, row.pretraining, seed, work_dir),
        cost=row.cost,
    )


def _with_kept_checkpoints(runs: list[Run]) -> list[Run]:
    """Tells every training which of its checkpoints the rows need."""
    keep: dict[Optional[Path], list[str]] = {}
    for run in runs:
        if run.checkpoint is not None:
            keep.setdefault(run.training, []).append(run.checkpoint)
    return [
        dataclasses.replace(run, keep=tuple(dict.fromkeys(keep.get(run.training, []))))
        for run in runs
    ]


def _with_shared_preparations(runs: list[Run], work_dir: Path) -> list[Run]:
    """Shares the preparations of runs that differ in their length alone, and puts the longest first."""
    lengths: dict[str, list[int]] = {}
    keys: dict[Path, tuple[str, str, int]] = {}
    for run in runs:
        shared = _length_of_preparation(run)
        if shared is not None:
            keys[run.folder] = shared
            lengths.setdefault(shared[0], []).append(shared[2])
    planned = []
    for run in runs:
        key, option, length = keys.get(run.folder, ('', '', 0))
        values = sorted(set(lengths.get(key, [])))
        if len(values) > 1:
            preparations = dict(
                folder=str(work_dir / 'preparations' / f'{run.config.stem}-{key}'),
                option=option,
                keep=values,
            )
            run = dataclasses.replace(run, preparations=preparations)
        planned.append(run)
    return _longest_first(planned, {folder: entry[2] for folder, entry in keys.items()})


def _length_of_preparation(run: Run) -> Optional[tuple[str, str, int]]:
    """Hash of everything but the length of a run's preparation, the option that is the length, and its value."""
    if run.tests_network or run.joints is not None:
        return None
    cfg = load_config(run.config, run.options)
    adapter = cfg.adapter.to_dict()
    cls = ADAPTERS.get(adapter['type']) if isinstance(adapter['type'], str) else adapter['type']
    option = getattr(cls, 'length_option', None)
    if option is None:
        return None
    length = adapter.pop(option, getattr(cls, option))
    parts = {key: cfg.get(key) for key in (*PARTS, 'randomness')}
    if run.pretraining is not None:
        parts['pretraining'] = run.pretraining['folder']  # decides the start weights
    return fingerprint({**parts, 'adapter': adapter})[:8], option, int(length)


def _longest_first(runs: list[Run], lengths: dict[Path, int]) -> list[Run]:
    """Runs that share a preparation, together at the place of their first, the longest first."""
    order: dict[str, int] = {}
    for index, run in enumerate(runs):
        if run.preparations is not None:
            order.setdefault(run.preparations['folder'], index)

    def position(entry: tuple[int, Run]) -> tuple[int, int, int]:
        index, run = entry
        if run.preparations is None:
            return index, 0, index
        return order[run.preparations['folder']], -lengths[run.folder], index

    return [run for _, run in sorted(enumerate(runs), key=position)]
