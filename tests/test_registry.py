"""Registries: unknown names, wrong arguments, and who may register what."""

from __future__ import annotations

import importlib.metadata

import pytest
from mmengine.config import ConfigDict
from torch import nn

from hrtk import registry
from hrtk.errors import InputError
from hrtk.registry import ADAPTERS, BACKBONES, HOOKS, Registry


def test_a_misspelt_name_gets_a_suggestion():
    with pytest.raises(InputError, match="no backbone called 'ResNt'. Did you mean 'ResNet'"):
        BACKBONES.build(dict(type='ResNt'))
    with pytest.raises(InputError, match="no adapter called 'BiLevel'. Did you mean 'Bilevel'"):
        ADAPTERS.build(dict(type='BiLevel'))


def test_a_name_like_no_other_lists_what_there_is():
    with pytest.raises(InputError, match="no adapter called 'xyz'. Known: .*Bilevel.*Source"):
        ADAPTERS.build(dict(type='xyz'))


def test_a_config_without_type():
    with pytest.raises(
        InputError, match=r"a backbone needs a `type`; this one has only \['depth', 'width'\]"
    ):
        BACKBONES.build(dict(width=4, depth=18))


def test_wrong_and_missing_arguments():
    with pytest.raises(InputError, match='backbone ResNet: .*detph'):
        BACKBONES.build(dict(type='ResNet', detph=18))
    with pytest.raises(InputError, match='in_channels'):
        registry.HEADS.build(dict(type='IterativeRegressor'))


def test_a_fault_inside_a_class_is_not_blamed_on_the_config():
    own = Registry('thing')

    @own.register_module()
    class Broken:
        def __init__(self):
            'text' + 1

    with pytest.raises(TypeError, match='concatenate'):
        own.build(dict(type='Broken'))


def test_build_takes_config_objects_classes_defaults_and_finished_objects():
    network = BACKBONES.build(ConfigDict(type='ResNet', depth=18, width=4))
    assert BACKBONES.build(network) is network
    assert (
        BACKBONES.build(dict(type=type(network), width=4), default_args=dict(depth=18)).out_channels
        == 32
    )
    cfg = dict(type='ResNet', depth=18, width=4)
    BACKBONES.build(cfg)
    assert cfg == dict(type='ResNet', depth=18, width=4)


def test_children_reach_mmengines_classes_and_siblings_do_not_mix():
    hook = HOOKS.build(dict(type='IterTimerHook'))
    assert type(hook).__module__.startswith('mmengine')
    assert {'CheckpointHook', 'ProgressHook'} <= set(HOOKS.names())
    assert 'ResNet' not in ADAPTERS.names() and BACKBONES.get('Bilevel') is None


def test_plugins_load_once_when_a_name_is_first_looked_up(monkeypatch):
    loads = []

    class Plugin(nn.Module):
        out_channels = 1

    class Entry:
        def load(self):
            loads.append(1)
            BACKBONES.register_module(name='BackboneOfAPlugin', module=Plugin, force=True)

    def entry_points(group):
        assert group == 'hrtk.plugins'
        return [Entry()]

    monkeypatch.setattr(registry, 'entry_points', entry_points)
    monkeypatch.setattr(Registry, '_plugins_loaded', False)
    assert isinstance(BACKBONES.build(dict(type='BackboneOfAPlugin')), Plugin)
    ADAPTERS.get('Bilevel')
    assert loads == [1]
    assert importlib.metadata.entry_points is not entry_points


def test_every_registry_finds_its_own():
    for name, members in (
        ('BACKBONES', {'ResNet'}),
        ('HEADS', {'IterativeRegressor'}),
        ('ESTIMATORS', {'HMR'}),
        ('BODY_MODELS', {'BodyModel'}),
        ('LOSSES', {'GMMPosePrior'}),
        ('ADAPTERS', {'Source', 'Bilevel'}),
        ('DATASETS', {'OpenStream', 'OpenViews'}),
    ):
        assert members <= set(getattr(registry, name).names()), name
