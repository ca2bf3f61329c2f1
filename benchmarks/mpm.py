"""MPM: frames per second and peak memory at 27, 81 and 243 frames, ours against a literal implementation.

Four tasks: ``lift`` is stage II without gradients, ``stage2`` its training step, ``fill`` is stage I without gradients
(2D and 3D), ``stage1`` its training step, masks drawn anew. A step is forward, losses and backward, without the
optimiser. Frames are those of all windows, ``frames * batch``, twice that where 2D and 3D poses go in. Both
implementations hold the same weights, and before they are timed their outputs and gradients are compared.

Every measurement has a process of its own. Memory is what the first call takes beyond weights and inputs: resident
memory on the CPU, sampled every millisecond; what torch has allocated on a GPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Callable

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from literal.mpm import LiteralStage1, LiteralStage2, literal_masks  # noqa: E402

from hrtk.losses import lifting_losses, pretext_losses  # noqa: E402
from hrtk.models.checkpoints import load_official  # noqa: E402
from hrtk.models.lifting import MaskSampler, MPMStage1, MPMStage2, step_generator  # noqa: E402

TASKS = ('lift', 'stage2', 'fill', 'stage1')
NETWORKS = dict(stage1=(MPMStage1, LiteralStage1), stage2=(MPMStage2, LiteralStage2))
MIB = 2**20


def build(stage: str, literal: bool, frames: int, device: torch.device) -> nn.Module:
    """One of the two networks, with random weights that do not depend on which."""
    ours, plain = NETWORKS[stage]
    torch.manual_seed(0)
    written = plain(frames)
    if literal:
        return written.to(device).eval()
    network = ours(frames)
    report = load_official(
        network, {f'module.{key}': value for key, value in written.state_dict().items()}
    )
    assert not report.missing_keys and not report.unexpected_keys
    return network.to(device).eval()


def inputs(frames: int, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """2D and 3D poses, (B, F, 17, 2) and (B, F, 17, 3)."""
    torch.manual_seed(1)
    keypoints2d, joints3d = (
        0.3 * torch.randn(batch, frames, 17, 2),
        0.3 * torch.randn(batch, frames, 17, 3),
    )
    joints3d[:, :, 0] = 0
    return keypoints2d.to(device), joints3d.to(device)


def lift(network: nn.Module, literal: bool, keypoints2d: Tensor) -> dict[str, Tensor]:
    """Both heads of stage II."""
    return (
        dict(zip(('joints3d_seq', 'joints3d'), network(keypoints2d)))
        if literal
        else network(keypoints2d)
    )


def fill(
    network: nn.Module, literal: bool, poses: tuple[Tensor, Tensor], masks: list
) -> list[Tensor]:
    """Reconstructions of 2D and of 3D poses."""
    if literal:
        return [network(pose, kind, *mask) for pose, kind, mask in zip(poses, ('2d', '3d'), masks)]
    return [network(pose, kind, mask) for pose, kind, mask in zip(poses, ('2d', '3d'), masks)]


def draw(literal: bool, poses: tuple[Tensor, Tensor], step: int) -> list:
    """Masks of both kinds of poses, the way either implementation does it, on the poses' device."""
    batch, frames, joints = poses[0].shape[:3]
    if literal:
        return [
            tuple(mask.to(poses[0].device) for mask in literal_masks(frames, joints))
            for _ in range(2)
        ]
    generator, sampler = step_generator(0, step), MaskSampler()
    return [sampler(batch, frames, joints, generator).to(poses[0].device) for _ in range(2)]


def task_of(
    name: str, network: nn.Module, literal: bool, poses: tuple[Tensor, Tensor]
) -> Callable[[], None]:
    """What is timed."""
    step = 0

    def run() -> None:
        nonlocal step
        step += 1
        network.zero_grad(set_to_none=True)
        with torch.set_grad_enabled(name.startswith('stage')):
            if name in ('lift', 'stage2'):
                found = lift(network, literal, poses[0])
                losses = lifting_losses(**found, target=poses[1]) if name == 'stage2' else {}
            else:
                found = fill(network, literal, poses, draw(literal, poses, step))
                losses = (
                    pretext_losses(found[0], poses[0], found[1], poses[1])
                    if name == 'stage1'
                    else {}
                )
        if losses:
            sum(losses.values()).backward()

    return run


def settle() -> None:
    """One thread, and float32 in full: cuDNN would round the literal convolutions to TF32, but not our products."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False


def compare(frames: int, batch: int, device: torch.device) -> tuple[float, float]:
    """Largest differences between both implementations, of outputs and of gradient norms relative to the largest."""
    poses, worst, gradient = inputs(frames, batch, device), 0.0, 0.0
    masks = draw(False, poses, 0)
    for stage in NETWORKS:
        ours, plain = build(stage, False, frames, device), build(stage, True, frames, device)
        if stage == 'stage1':
            found = fill(ours, False, poses, masks)
            written = fill(plain, True, poses, [(mask.joints[0], mask.frames[0]) for mask in masks])
        else:
            found, written = (
                list(lift(network, flag, poses[0]).values())
                for network, flag in ((ours, False), (plain, True))
            )
        worst = max([worst, *((a - b).abs().max().item() for a, b in zip(found, written))])
        sum(a.square().mean() for a in found).backward()
        sum(b.square().mean() for b in written).backward()
        norms = dict(ours.named_parameters())
        pairs = [
            (parameter.grad, norms[ours.official_key(key)].grad)
            for key, parameter in plain.named_parameters()
        ]
        assert all((a is None) == (b is None) for a, b in pairs)
        scale = max(a.norm() for a, _ in pairs if a is not None)
        gradient = max(
            [gradient, *(((a - b).norm() / scale).item() for a, b in pairs if a is not None)]
        )
    assert worst < 1e-4 and gradient < 1e-4, (
        f'{frames} frames: outputs differ by {worst}, gradients by {gradient}'
    )
    return worst, gradient


def peak_of(call: Callable[[], None], device: torch.device) -> float:
    """MiB that a call takes at most beyond what there was."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    before, seen, done = resident(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    seen.append(resident())
    done.set()
    watcher.join()
    return max(seen) - before


def resident() -> float:
    """MiB of this process in memory."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() / MIB


def measure(
    name: str, literal: bool, frames: int, batch: int, repeat: int, device_name: str
) -> tuple[float, float]:
    """Frames per second, the best of several runs, and MiB."""
    settle()
    device = torch.device(device_name)
    stage = 'stage2' if name in ('lift', 'stage2') else 'stage1'
    network, poses = build(stage, literal, frames, device), inputs(frames, batch, device)
    run = task_of(name, network.train(name.startswith('stage')), literal, poses)
    if device.type == 'cuda':
        run()  # the first call of a process also loads libraries, which is no activation of the network
        network.zero_grad(set_to_none=True)
    peak, times = peak_of(run, device), []
    for _ in range(repeat):
        if device.type == 'cuda':
            torch.cuda.synchronize()
        begin = time.perf_counter() if device.type == 'cuda' else time.process_time()
        run()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(
            (time.perf_counter() if device.type == 'cuda' else time.process_time()) - begin
        )
    return batch * frames * (1 if stage == 'stage2' else 2) / min(times), peak


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--frames', type=int, nargs='+', default=[27, 81, 243], choices=[27, 81, 243]
    )
    parser.add_argument('--tasks', nargs='+', default=list(TASKS), choices=TASKS)
    parser.add_argument('--rows', type=int, default=1944, help='frames per call, so batch * frames')
    parser.add_argument('--repeat', type=int, default=5, help='runs of which the best counts')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    settle()
    context = multiprocessing.get_context('spawn')
    print(
        f'on {args.device}, {args.rows} frames per call\n{"frames":>6} {"batch":>5} {"task":<7} '
        f'{"ours, frames/s":>15} {"literal":>9} {"times":>6} {"ours, MiB":>10} {"literal":>8}'
    )
    for frames in args.frames:
        batch = max(1, args.rows // frames)
        difference = compare(frames, 2, torch.device(args.device))
        for name in args.tasks:
            rows = []
            for literal in (False, True):
                with context.Pool(1) as pool:
                    rows.append(
                        pool.apply(
                            measure, (name, literal, frames, batch, args.repeat, args.device)
                        )
                    )
            (speed, memory), (plain_speed, plain_memory) = rows
            print(
                f'{frames:6d} {batch:5d} {name:<7} {speed:15.0f} {plain_speed:9.0f} {speed / plain_speed:6.2f} '
                f'{memory:10.0f} {plain_memory:8.0f}',
                flush=True,
            )
        print(
            f'       largest difference of outputs {difference[0]:.1e}, of gradients {difference[1]:.1e}',
            flush=True,
        )


if __name__ == '__main__':
    main()
