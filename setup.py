"""Installs hrtk: ``pip install -e .``; extras: smpl, legacy, optional, pose2d, report, viewer, tests, docs."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
NOT_INSTALLED = (
    '__pycache__',
    '*.sh',
    'open_body',
    'motion_fit',
    'build_open_body.py',
    'convert_blazepose.py',
    'fit_*.py',
)


class BuildWithConfigs(build_py):
    """Puts configs and commands into the package, where an installed hrtk looks for them."""

    def run(self):
        super().run()
        for name in () if self.editable_mode else ('configs', 'tools'):
            shutil.copytree(
                HERE / name,
                Path(self.build_lib) / 'hrtk' / name,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns(*NOT_INSTALLED),
            )


def requirements(name):
    """The lines of requirements/<name>.txt without comments."""
    lines = (HERE / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.split('#')[0].strip() for line in lines if line.split('#')[0].strip()]


version = re.search(
    r"__version__ = '(.+)'", (HERE / 'hrtk/version.py').read_text(encoding='utf-8')
).group(1)

setup(
    name='hrtk',
    version=version,
    description='3D human-mesh models that adapt to the footage they are shown',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['hrtk', 'hrtk.*']),
    include_package_data=True,
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['hrtk = hrtk.cli.main:main']},
    install_requires=requirements('runtime'),
    extras_require={
        **{
            name: requirements(name)
            for name in ('smpl', 'optional', 'pose2d', 'report', 'viewer', 'tests', 'docs')
        },
        'legacy': ['chumpy==0.70'],  # with --no-build-isolation only, see requirements/smpl.txt
    },
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
