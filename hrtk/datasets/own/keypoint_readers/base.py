"""What all readers of keypoint files share: the opened file, the entry of the table, and checks of json."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

from hrtk.body_models.skeletons import joint_names
from hrtk.datasets.own.keypoint_report import LeftOut
from hrtk.datasets.own.keypoint_table import Content
from hrtk.errors import InputError
from hrtk.files import visible
from hrtk.reading import read_json, read_text, regular_file

COCO_NAMES = tuple(name.removesuffix('_lsp') for name in joint_names('coco17'))
TEXT_KINDS = ('csv', 'txt')
FOLDER_PATTERNS = ('*_keypoints.json', '*.json', '*.txt', '*_px_*.trc')


@dataclasses.dataclass(frozen=True)
class Source:
    """A keypoint file that was opened, or a folder of such files.

    Attributes:
        path: the file or folder.
        kind: ``'json'``, ``'csv'``, ``'txt'``, ``'npz'``, ``'trc'`` or ``'folder'``.
        content: of a json its value, of a csv its rows of cells, of a txt its lines, of a folder its files in order of
            their names; None for files that their reader opens.
        skeleton: joint list of the points that the user names, or None.
    """

    path: Path
    kind: str
    content: Any = None
    skeleton: Optional[str] = None

    @functools.cached_property
    def first(self) -> Source:
        """The file itself, or the first file of a folder, which is opened once."""
        if self.kind == 'folder':
            return open_source(self.content[0], self.skeleton)
        return self

    def files(self) -> list[Path]:
        """The file itself, or the files of a folder."""
        if self.kind == 'folder':
            return self.content
        return [self.path]

    def contents(self) -> Iterator[tuple[Path, Any]]:
        """The path and the content of the file itself, or of every file of a folder, one after the other."""
        if self.kind != 'folder':
            yield self.path, self.content
            return
        for file in self.content:
            yield file, open_source(file).content


@dataclasses.dataclass(frozen=True)
class Reader:
    """A row of the table of readers.

    Attributes:
        program: who writes such files.
        recognised: how they are recognised, for users.
        frame: what says which frame an entry belongs to, for users.
        source: default origin of the keypoints, which is printed beside every result.
        recognises: whether a file is of this layout.
        read: reads it; what cannot be used is counted by the second argument.
        person: what gives the identity of a person, for users.
        skeleton: the points, for users.
    """

    program: str
    recognised: str
    frame: str
    source: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, LeftOut], Content]
    person: str = 'none'
    skeleton: str = 'by number'


def open_source(path: Path, skeleton: Optional[str] = None) -> Source:
    """Opens a keypoint file or a folder of them.

    Raises:
        InputError: the file is missing or broken, or the folder holds no file of a known kind.
    """
    if path.is_dir():
        return Source(path, 'folder', _files_of(path), skeleton)
    suffix = path.suffix.lower().removeprefix('.')
    if suffix in ('npz', 'trc'):
        return Source(path, suffix, None, skeleton)
    if suffix in TEXT_KINDS:
        regular_file(path, noun='keypoint file')
        lines = read_text(path).splitlines()
        if suffix == 'csv':
            return Source(path, suffix, list(csv.reader(lines)), skeleton)
        return Source(path, suffix, lines, skeleton)
    regular_file(path, noun='keypoint file')
    return Source(path, 'json', read_json(path, 'write or copy it again'), skeleton)


def entries(value: Any, path: Path, label: str, *required: str) -> list[dict]:
    """A list of objects that have the required keys.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(f'{path}: {label} must be a list of objects')
    for index, entry in enumerate(value):
        missing = [key for key in required if key not in entry]
        if missing:
            raise InputError(
                f'{path}: entry {index} of {label} lacks {", ".join(missing)}; every entry has {", ".join(required)}'
            )
    return value


def is_list_of(value: Any, kind: type) -> bool:
    """Whether a value is a list of at least one entry, all of one kind."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, kind) for v in value)


def posix(name: Any) -> str:
    """A path with forward slashes."""
    return str(name).replace('\\', '/')


def coco_skeleton(names: Any, source: Source, label: str) -> Optional[str]:
    """``'coco17'`` if a list of joint names is COCO's, None if there is no list.

    Args:
        names: the list of the file, or anything else.
        source: the file.
        label: where the names stand in it.

    Raises:
        InputError: the names are others, or have another order, and the user has not named the list.
    """
    if not isinstance(names, list) or not names or source.skeleton is not None:
        return None
    normalised = tuple(str(name).lower().replace(' ', '_') for name in names)
    if normalised[: len(COCO_NAMES)] != COCO_NAMES:
        raise InputError(
            f'{source.path}: {label} lists the joints {", ".join(map(str, names))}, which are not the 17 '
            f'of COCO in their order; name the list of hrtk.body_models.skeletons with `skeleton=`'
        )
    if len(names) == len(COCO_NAMES):
        return 'coco17'
    return None


def _files_of(folder: Path) -> list[Path]:
    for pattern in FOLDER_PATTERNS:
        files = visible(folder, pattern)
        if files:
            return files
    raise InputError(
        f'{folder}: this folder has no *_keypoints.json nor other *.json, *.txt or *_px_*.trc; give the folder that '
        f'OpenPose wrote with --write_json, the labels of Ultralytics, or a single file'
    )
