"""``hrtk COMMAND ...``: the commands of ``tools/`` from anywhere, each loaded when it is called."""

from __future__ import annotations

import ast
import difflib
import sys
from pathlib import Path
from typing import Optional
from typing import Sequence as SequenceOf

from hrtk.apis.locations import bundled_folder
from hrtk.version import __version__

# These make what hrtk bundles, in a checkout.
MAKERS = ('build_open_body', 'convert_blazepose', 'fit_motion', 'fit_pose_gmm')
USAGE = """usage: hrtk COMMAND ...

CONFIG and TABLE are paths, or names of bundled ones: `hrtk adapt boa/r18_wild`.
Several processes: torchrun --nproc-per-node=N -m hrtk.cli.main adapt CONFIG
"""


def commands() -> dict[str, Path]:
    """The files of all commands by name, ``adapt``, ``check-assets``, ..."""
    return {
        path.stem.replace('_', '-'): path
        for path in sorted(bundled_folder('tools').glob('*.py'))
        if path.stem not in MAKERS
    }


def main(arguments: Optional[SequenceOf[str]] = None) -> int:
    """Runs a command.

    Args:
        arguments: the command and its own arguments; default those of the process.

    Returns:
        Its exit code; 2 if there is no such command.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ['--help']
    if name in ('-h', '--help'):
        print(
            USAGE
            + '\n'.join(
                ['', *(f'  {command:<22}{_summary(path)}' for command, path in commands().items())]
            )
        )
        return 0
    if name == '--version':
        print(f'hrtk {__version__}')
        return 0
    path = commands().get(name.replace('_', '-'))
    if path is None:
        near = difflib.get_close_matches(name, commands(), n=1)
        print(
            f'error: there is no command {name!r}. {f"Did you mean {near[0]!r}?" if near else "See hrtk --help."}',
            file=sys.stderr,
        )
        return 2
    before, sys.argv = sys.argv, [f'hrtk {name}', *rest]
    try:
        # Not runpy.run_path, which would put the file's name into the usage message.
        exec(
            compile(path.read_bytes(), path, 'exec'),
            {'__name__': '__main__', '__file__': str(path)},
        )
    except SystemExit as done:
        if isinstance(done.code, str):
            print(done.code, file=sys.stderr)
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    finally:
        sys.argv = before
    return 0


def _summary(path: Path) -> str:
    """The first line of a command's docstring, without its example."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
    return text.partition('\n')[0].partition(': ``')[0].rstrip('.')


if __name__ == '__main__':
    sys.exit(main())
