"""Wrong values for the options of commands, and for keys of their configs."""

import argparse
import importlib
import random

OPTION = 'option'  # the kind of cases with a wrong option
TEXTS = ('', 'x', '-1', '0', '1.5', 'nan', 'inf', '1e30', 'None', 'True', '[]', '[1', '{}', '☃')
TEXTS += ('[1,2]', '(1,2)', 'nowhere/x', 'keypoints.json', 'clip', 'x' * 5000, '../..', '/dev/null')
HUGE = '999999999999'
KEYS = (
    'adapter.lr',
    'adapter.steps',
    'adapter.weights',
    'adapter.weights.keypoints2d',
    'adapter.type',
    'adapter.reset',
    'adapter',
    'dataset.fps',
    'dataset.max_gap',
    'dataset.min_confidence',
    'dataset.masks',
    'dataset.people',
    'dataset.type',
    'dataset',
    'estimator.weights',
    'estimator.backbone',
    'estimator.head.mean_params',
    'estimator.resolution',
    'estimator.body.file',
    'estimator.body',
    'evaluator',
    'evaluator.protocol',
    'outputs',
    'outputs.pictures',
    'midway.frames',
    'randomness.seed',
    'custom_hooks',
    'env_cfg',
    'log_level',
    'visualizer',
    'unknown',
)
TRAIN_KEYS = (
    'model',
    'model.network',
    'model.network.heads',
    'model.network.pretrained',
    'train_dataloader',
    'train_dataloader.batch_size',
    'train_dataloader.num_workers',
    'train_dataloader.dataset.subjects',
    'train_dataloader.dataset.stride',
    'train_dataloader.dataset.file',
    'train_dataloader.sampler',
    'test_dataloader',
    'test_dataloader.dataset.split',
    'test_evaluator',
    'test_evaluator.metric',
    'train_cfg',
    'train_cfg.by_epoch',
    'optim_wrapper',
    'optim_wrapper.optimizer.lr',
    'optim_wrapper.optimizer.type',
    'param_scheduler',
    'default_hooks.checkpoint.interval',
    'custom_hooks',
    'load_from',
    'randomness.seed',
    'env_cfg',
    'unknown',
)


def change_option(command, number):
    """Arguments of a command with a wrong value, and the texts of which a message has to name one.

    Args:
        command: of :data:`~corrupted_commands.COMMANDS`.
        number: of the random choices.
    """
    draw = random.Random(f'{command.arguments} {number}')
    value = draw.choice(TEXTS)
    arguments = list(command.arguments)
    if command.keys and draw.random() < 0.6:
        key = draw.choice(command.keys)
        value = draw.choice([value, HUGE]) if key.endswith('seed') else value
        return [*arguments, '--cfg-options', f'{key}={value}'], (*key.split('.'), value)
    actions = options_of(arguments[0])
    action = draw.choice(actions)
    if not action.option_strings:
        # The first one: the footage, the config or the folder.
        return [arguments[0], value, *arguments[2:]], (value, action.dest)
    if action.type in (int, float) and action.dest not in ('jobs', 'seconds'):
        value = draw.choice([value, HUGE, f'-{HUGE}', '-1', '0', 'nan'])
    flag = action.option_strings[-1]
    return [*arguments, f'{flag}={value}'], (flag, action.dest, value)


def options_of(name):
    """The options of a command that take a value."""
    module = importlib.import_module(f'hrtk.cli.commands.{name.replace("-", "_")}')
    parser = argparse.ArgumentParser(add_help=False)
    module.add_arguments(parser)
    without = ('cfg_options', 'launcher')
    return [
        action for action in parser._actions if action.nargs != 0 and action.dest not in without
    ]
