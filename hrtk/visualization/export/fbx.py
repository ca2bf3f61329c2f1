"""FBX through Blender's own exporter, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hrtk.body_models import BodyModel
from hrtk.errors import InputError
from hrtk.visualization.export.glb import to_glb
from hrtk.visualization.export.motion import Motion, with_mean_shape
from hrtk.visualization.export.resampling import at_whole_rate

SCRIPT = Path(__file__).with_name('blender_fbx.py')
VARIABLE = 'HRTK_BLENDER'
LONGEST_SECONDS = 1800
LAST_LINES = 8  # of what Blender printed, in a message


def blender_command() -> list[str]:
    """The beginning of a command that runs a script with Blender's modules.

    Searched in this order: the environment variable ``HRTK_BLENDER`` (Blender's program, or a Python that has the
    ``bpy`` wheel), ``blender`` on the path, and ``bpy`` in the running Python.

    Raises:
        InputError: there is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        program = shutil.which(named)
        if program is None:
            raise InputError(
                f'{VARIABLE}={named}: there is no such program; name Blender, or a Python that has bpy'
            )
        if Path(program).name.lower().startswith('python'):
            return [program, str(SCRIPT)]
        return _of_program(program)
    program = shutil.which('blender')
    if program is not None:
        return _of_program(program)
    if importlib.util.find_spec('bpy') is not None:
        return [sys.executable, str(SCRIPT)]
    raise InputError(
        'fbx is written by Blender, which was not found: install it from blender.org so that `blender` is on the path, '
        f'or `pip install bpy` into a Python of its own and name that in {VARIABLE}; or export glb, which Blender, '
        f'Unity and Unreal read'
    )


def to_fbx(motion: Motion, body: BodyModel) -> bytes:
    """The bytes of an FBX file: what :func:`~hrtk.visualization.export.to_glb` writes, resampled to a whole number of
    frames per second.

    Args:
        motion: in the camera frame.
        body: the body model of the motion.

    Raises:
        InputError: there is no Blender, or it fails.
    """
    command = blender_command()
    motion = at_whole_rate(with_mean_shape(motion, body), body)
    with tempfile.TemporaryDirectory(prefix='hrtk_fbx_') as folder:
        glb = Path(folder) / 'body.glb'
        fbx = Path(folder) / 'body.fbx'
        glb.write_bytes(to_glb(motion, body))
        _run([*command, str(glb), str(fbx), str(round(motion.fps)), str(len(motion))])
        if not fbx.is_file():
            raise InputError(f'{motion.name}: {command[0]} ended without an fbx file')
        return fbx.read_bytes()


def _of_program(program: str) -> list[str]:
    return [
        program,
        '--background',
        '--factory-startup',
        '--python-exit-code',
        '1',
        '--python',
        str(SCRIPT),
        '--',
    ]


def _run(command: list[str]) -> None:
    """Runs Blender.

    Raises:
        InputError: it cannot be started, takes too long or fails; the message ends with what it printed last.
    """
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=LONGEST_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f'{command[0]}: cannot write fbx ({error}); export glb instead') from error
    if done.returncode != 0:
        printed = done.stdout.decode('utf-8', 'replace').strip().splitlines()[-LAST_LINES:]
        raise InputError(
            f'{command[0]}: cannot write fbx; export glb instead. It ended with code {done.returncode} and printed:\n'
            + '\n'.join(printed)
        )
