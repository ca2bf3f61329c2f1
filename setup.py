"""Installs hrtk: ``pip install -e .``; extras: smpl, legacy, optional, pose2d, report, viewer, tests, docs."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithConfigs(build_py):
    """Copies the configs into the package, where an installed hrtk reads them."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        shutil.copytree(
            HERE / 'configs',
            Path(self.build_lib) / 'hrtk/configs',
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns('__pycache__'),
        )


def requirements(name):
    """The lines of requirements/<name>.txt without comments."""
    lines = (HERE / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    names = [line.split('#')[0].strip() for line in lines]
    return [name for name in names if name]


version_file = (HERE / 'hrtk/version.py').read_text(encoding='utf-8')
version = re.search(r"__version__ = '(.+)'", version_file).group(1)

setup(
    name='hrtk',
    version=version,
    description='Test-time adaptation of 3D human-mesh models',
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
