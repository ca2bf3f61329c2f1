"""What ``make demo`` runs: hrtk on a real video, from the pixels to bodies, errors, a report and a file for Blender.

    python tools/demo.py

Every step is a command that is printed before it runs, and that you can run yourself:

1. ``pip download`` fetches the wheel pose2sim 0.10.49 (51 MB, not installed) into ``data``, and
   ``tools/prepare_dataset.py real4`` takes four videos of a man out of it. Skipped if ``data/real4`` is there.
2. ``tools/infer.py`` finds and follows the man in ``cam04.mp4``, which shows his back, and predicts his body.
3. The same with ``--adapt``: TrackFit adapts the network to the clip.
4. ``tools/benchmark.py`` compares both with the 3D truth of the four videos, and so MediaPipe's own 3D points.
5. ``tools/report.py`` writes one HTML page of the clip.

Without a network, steps 2 to 5 become a run on drawn people, whose bodies are known.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Optional

DATA = Path('data')
REAL4 = DATA / 'real4'
WHEEL = 'pose2sim==0.10.49'
WHEEL_FILES = 'pose2sim-0.10.49-*.whl'
# Written last by tools/prepare_dataset.py.
PREPARED = (
    REAL4 / 'joints/mediapipe_repaired/cam04_person1.json',
    REAL4 / 'joints/mean_pose/cam04_person1.json',
)
OUTPUT = Path('work_dirs/demo')
ADAPT = 'configs/track_fit/lifter_wild.py'


def run(*command: str | Path) -> int:
    """Prints and runs ``python COMMAND`` and returns its exit code."""
    words = [str(word) for word in command]
    print('\n$ python', *words, flush=True)
    return subprocess.run([sys.executable, *words]).returncode


def prepared() -> bool:
    """Whether ``data/real4`` is there."""
    return all(file.is_file() for file in PREPARED)


def download() -> Optional[Path]:
    """Returns the wheel, or None without a network."""
    DATA.mkdir(exist_ok=True)
    if not list(DATA.glob(WHEEL_FILES)):
        command = ['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:']
        patience = ['--ignore-requires-python', '--retries', '1', '--timeout', '15']
        run(*command, *patience, '--dest', DATA, WHEEL)
    wheels = sorted(DATA.glob(WHEEL_FILES))
    if not wheels:
        return None
    return wheels[0]


def run_all(*commands: list[str | Path]) -> int:
    """Runs one command after the other, until one fails."""
    for command in commands:
        code = run(*command)
        if code:
            return code
    return 0


def real() -> int:
    """The demo on real video."""
    clip = REAL4 / 'videos/cam04.mp4'
    frozen = OUTPUT / 'frozen'
    adapted = OUTPUT / 'adapted'
    keypoints = frozen / 'keypoints.json'
    code = run_all(
        ['tools/infer.py', clip, '--output', frozen],
        ['tools/infer.py', clip, '--keypoints', keypoints, '--adapt', ADAPT]
        + ['--export', 'glb', '--output', adapted],
        ['tools/report.py', adapted],
        ['tools/benchmark.py', 'configs/real4/tables/real4_demo.yaml', '--work-dir', OUTPUT]
        + ['--jobs', '2'],
    )
    if code == 0:
        print_results(adapted, 'One man in one clip: docs/en/results/real4.md says what is known.')
    return code


def drawn() -> int:
    """The demo without a network."""
    print(
        f'\n{WHEEL} could not be downloaded, so there is no real video here. The demo goes on with DRAWN people, '
        'whose numbers say nothing about real ones. Run it again with a network, or prepare data/real4 as '
        'docs/en/real4.md says.'
    )
    adapted = OUTPUT / 'drawn'
    size = ['dataset.sequences=2', 'dataset.frames=20', 'outputs.pictures=4']
    code = run_all(
        ['tools/adapt.py', ADAPT, '--work-dir', adapted, '--cfg-options', *size],
        ['tools/export.py', adapted, '--formats', 'glb'],
        ['tools/report.py', adapted],
    )
    if code == 0:
        print_results(adapted, 'These were DRAWN people.')
    return code


def print_results(folder: Path, remark: str) -> None:
    """Prints where to look."""
    glb = sorted(folder.glob('results/*/exports/**/*.glb'))
    print(f'\n{remark}')
    for file in [*folder.glob('overlay.mp4'), folder / 'report.html', *glb[-1:]]:
        print(file)


def main() -> int:
    """Returns the exit code of the command that failed, or 0."""
    if not Path('tools/demo.py').is_file():
        print('error: run this from the root of the clone', file=sys.stderr)
        return 2
    try:
        if not prepared():
            wheel = download()
            if wheel is None:
                return drawn()
            code = run('tools/prepare_dataset.py', 'real4', wheel, '--output', REAL4)
            if code:
                return code
        return real()
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main())
