"""The last checkpoint of a training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from hrtk.errors import InputError
from hrtk.reading import read_text

POINTER = 'last_checkpoint'  # mmengine writes the path of the newest checkpoint into this file


def last_checkpoint(folder: Path) -> Optional[Path]:
    """Returns the newest checkpoint of a training in its folder, or None if the training has written none.

    The folder may have been moved since: of the path that mmengine noted the name counts.

    Raises:
        InputError: the note is no text, or names no file beside it.
    """
    pointer = folder / POINTER
    if not os.path.lexists(pointer):
        return None
    name = Path(read_text(pointer).strip().replace('\0', '')).name
    if not name or not os.path.isfile(pointer.with_name(name)):  # False, too, for a long name
        raise InputError(
            f'{pointer}: names {name[:80]!r}, which is no file beside it; write the name of a checkpoint of this '
            f'folder into it, or remove it and train again'
        )
    return pointer.with_name(name)
