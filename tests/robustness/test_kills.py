"""Runs that are killed at random moments end with the bits of an undisturbed run; ``make kill`` tries more of them."""

import subprocess
import sys
from pathlib import Path


def test_three_kills():
    # In a process of its own: its children are forked, and this one has threads.
    script = Path(__file__).with_name('kill.py')
    done = subprocess.run([sys.executable, script, '3', '1'], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '3 trials' in done.stdout and '0 failures' in done.stdout
