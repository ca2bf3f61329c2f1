"""The readers of all files: limits on what a file may claim, messages that name it, and nothing that is executed."""

from hrtk.reading.documents import parse_json, read_json, read_yaml
from hrtk.reading.regular import read_bytes, read_text, regular_file

__all__ = ['parse_json', 'read_bytes', 'read_json', 'read_text', 'read_yaml', 'regular_file']
