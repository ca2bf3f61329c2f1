"""PlainCheckpoints: checkpoints without pickled objects."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from hrtk.registry import HOOKS


@HOOKS.register_module()
class PlainCheckpoints(Hook):
    """Removes mmengine's log history from checkpoints, so that they load with ``weights_only=True``."""

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Removes the entry that is neither a tensor nor plain."""
        checkpoint.pop('message_hub', None)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds the history of this process, which the runner expects."""
        checkpoint.setdefault('message_hub', MessageHub.get_current_instance().state_dict())
