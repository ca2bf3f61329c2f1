"""The environment of a run: the processes that share its sequences, and limits of the operating system."""

from __future__ import annotations

import datetime
import platform
import time

import torch
from mmengine.dist import broadcast, init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing

from hrtk.errors import InputError

# Seconds that a process waits for the others at the end of a run: their shares may differ by hours.
COLLECTIVE_TIMEOUT = 7 * 24 * 3600
OPEN_FILES = 4096


def set_up_environment(launcher: str, env_cfg: dict) -> str:
    """Sets up this process as mmengine's ``Runner.setup_env`` does.

    Args:
        launcher: how the processes were started: ``'none'`` for a single process, ``'pytorch'``, ``'slurm'`` or
            ``'mpi'``.
        env_cfg: mmengine's options ``cudnn_benchmark`` (default off: cuDNN is deterministic), ``mp_cfg``, ``dist_cfg``
            and ``resource_limit``.

    Returns:
        The time of the start, the same in all processes, e.g. ``'20240131_235959'``.

    Raises:
        InputError: the launcher needs GPUs, and there are none.
    """
    distributed = launcher != 'none'
    # A resumed run, and one of several processes, must give the digits of an uninterrupted one.
    torch.backends.cudnn.deterministic = not env_cfg.get('cudnn_benchmark')
    if env_cfg.get('cudnn_benchmark'):
        torch.backends.cudnn.benchmark = True
    if distributed and not is_distributed():
        _join_process_group(launcher, env_cfg.get('dist_cfg') or {})
    set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=distributed)
    _raise_open_file_limit(env_cfg.get('resource_limit', OPEN_FILES))
    return _shared_timestamp()


def _join_process_group(launcher: str, dist_cfg: dict) -> None:
    """Joins the other processes; on CPUs through gloo, which mmengine cannot do without CUDA."""
    options = {'backend': 'nccl', 'timeout': COLLECTIVE_TIMEOUT, **dist_cfg}
    if torch.cuda.is_available():
        init_dist(launcher, **options)
        return
    if launcher != 'pytorch':
        raise InputError(
            f'launcher {launcher!r} needs GPUs; on CPUs start the processes with torchrun '
            f"and use launcher 'pytorch'"
        )
    timeout = datetime.timedelta(seconds=options['timeout'])
    torch.distributed.init_process_group('gloo', timeout=timeout)


def _raise_open_file_limit(count: int) -> None:
    """Raises the limit of open files: the workers of a data loader share their tensors as files."""
    if platform.system() == 'Windows':
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(count, soft), hard), hard))


def _shared_timestamp() -> str:
    now = torch.tensor(time.time(), dtype=torch.float64)
    broadcast(now)
    return time.strftime('%Y%m%d_%H%M%S', time.localtime(now.item()))
