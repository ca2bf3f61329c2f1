"""Names in the viewer are text, and an address that is open to others is announced."""

import types

import pytest

from hrtk.cli.commands import view as command
from hrtk.visualization.viewer import escaped


@pytest.mark.parametrize(
    ('name', 'shown'),
    [
        ('wild_s0_003', r'wild\_s0\_003'),
        ('<img src=x onerror=alert(1)>', r'&lt;img src=x onerror=alert\(1\)&gt;'),
        ('[a](http://b.c)', r'\[a\]\(http\:\/\/b\.c\)'),
        ('one\n# two', r'one \# two'),
        ("Tom & Jerry's", "Tom &amp; Jerry's"),
    ],
)
def test_names_are_text(name, shown):
    assert escaped(name) == shown


@pytest.mark.parametrize(
    ('host', 'local'),
    [
        ('127.0.0.1', True),
        ('localhost', True),
        ('::1', True),
        ('127.1.2.3', True),
        ('0.0.0.0', False),
        ('::', False),
        ('', False),
        ('192.168.0.2', False),
        ('my-machine', False),
    ],
)
def test_an_open_address_is_announced(host, local, monkeypatch, capsys):
    assert command.is_local(host) == local

    def stop(seconds):
        raise KeyboardInterrupt

    viewer = types.SimpleNamespace(url='http://x', stop=lambda: None)
    monkeypatch.setattr(command, 'view', lambda **options: viewer)
    monkeypatch.setattr(command, 'time', types.SimpleNamespace(sleep=stop))
    assert command.run(types.SimpleNamespace(host=host)) == 0
    assert ('warning' in capsys.readouterr().err) != local
