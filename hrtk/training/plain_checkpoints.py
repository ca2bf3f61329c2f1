"""PlainCheckpoints: checkpoints without pickled objects."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from hrtk.registry import HOOKS


@HOOKS.register_module()
class PlainCheckpoints(Hook):
    """Removes mmengine's log history from checkpoints, so that they load with ``weights_only=True``.

    The best score so far and its checkpoint are kept, so that a resumed training compares with them.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Replaces the entry that is neither a tensor nor plain."""
        checkpoint.pop('message_hub', None)
        best = {}
        for key, value in runner.message_hub.runtime_info.items():
            if key.startswith('best_') and isinstance(value, (str, float, int)):
                best[key] = value
        checkpoint['best'] = best

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Adds the history of this process, which the runner expects."""
        for key, value in checkpoint.get('best', {}).items():
            runner.message_hub.update_info(key, value)
        checkpoint.setdefault('message_hub', MessageHub.get_current_instance().state_dict())
