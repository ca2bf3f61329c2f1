"""MPM: frames per second and peak memory at 27, 81 and 243 frames, ours against a literal implementation.

Four tasks: ``lift`` is stage II without gradients, ``stage2`` its training step, ``fill`` is stage I without gradients
(2D and 3D), ``stage1`` its training step, with new masks in every call. A step is forward, losses and backward,
without the optimizer. Frames are those of all windows, ``frames * batch``, twice that with 2D and 3D poses. Both
implementations have the same weights, and their outputs and gradients are compared before they are timed.

Every measurement has a process of its own. Memory is that of the first call beyond weights and inputs: resident memory
on the CPU, sampled every millisecond; memory that torch has allocated on a GPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import torch
from measuring import best_ms, peak_mib, record, use_one_thread
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from literal.mpm import LiteralStage1, LiteralStage2, literal_masks  # noqa: E402

from hrtk.losses import lifting_losses, pretext_losses  # noqa: E402
from hrtk.models.checkpoints import load_official  # noqa: E402
from hrtk.models.lifting import MaskSampler, MPMStage1, MPMStage2, step_generator  # noqa: E402

TASKS = ('lift', 'stage2', 'fill', 'stage1')
NETWORKS = dict(stage1=(MPMStage1, LiteralStage1), stage2=(MPMStage2, LiteralStage2))
KINDS = ('2d', '3d')


def build(stage: str, literal: bool, frames: int, device: torch.device) -> nn.Module:
    """One of the two networks of a stage; the random weights of both are the same."""
    our_class, literal_class = NETWORKS[stage]
    torch.manual_seed(0)
    literal_network = literal_class(frames)
    if literal:
        return literal_network.to(device).eval()
    network = our_class(frames)
    state = {f'module.{key}': value for key, value in literal_network.state_dict().items()}
    report = load_official(network, state)
    assert not report.missing_keys and not report.unexpected_keys
    return network.to(device).eval()


def inputs(frames: int, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """2D and 3D poses, (B, F, 17, 2) and (B, F, 17, 3)."""
    torch.manual_seed(1)
    keypoints2d = 0.3 * torch.randn(batch, frames, 17, 2)
    joints3d = 0.3 * torch.randn(batch, frames, 17, 3)
    joints3d[:, :, 0] = 0
    return keypoints2d.to(device), joints3d.to(device)


def lift(network: nn.Module, literal: bool, keypoints2d: Tensor) -> dict[str, Tensor]:
    """Both outputs of stage II."""
    if not literal:
        return network(keypoints2d)
    sequence, centre = network(keypoints2d)
    return dict(joints3d_seq=sequence, joints3d=centre)


def fill(
    network: nn.Module, literal: bool, poses: tuple[Tensor, Tensor], masks: list
) -> list[Tensor]:
    """Reconstructions of 2D and of 3D poses."""
    reconstructed = []
    for pose, kind, mask in zip(poses, KINDS, masks):
        if literal:
            reconstructed.append(network(pose, kind, *mask))
        else:
            reconstructed.append(network(pose, kind, mask))
    return reconstructed


def draw(literal: bool, poses: tuple[Tensor, Tensor], step: int) -> list:
    """Masks of both kinds of poses on the poses' device, each implementation in its own way."""
    batch, frames, joints = poses[0].shape[:3]
    device = poses[0].device
    if not literal:
        generator = step_generator(0, step)
        sampler = MaskSampler()
        return [sampler(batch, frames, joints, generator).to(device) for _ in KINDS]
    masks = []
    for _ in KINDS:
        hidden_joints, hidden_frames = literal_masks(frames, joints)
        masks.append((hidden_joints.to(device), hidden_frames.to(device)))
    return masks


def task_of(
    name: str, network: nn.Module, literal: bool, poses: tuple[Tensor, Tensor]
) -> Callable[[], None]:
    """The call that is timed."""
    step = 0

    def losses() -> dict[str, Tensor]:
        if name in ('lift', 'stage2'):
            lifted = lift(network, literal, poses[0])
            return lifting_losses(**lifted, target=poses[1], root=0) if name == 'stage2' else {}
        filled = fill(network, literal, poses, draw(literal, poses, step))
        if name == 'stage1':
            return pretext_losses(filled[0], poses[0], filled[1], poses[1])
        return {}

    def run() -> None:
        nonlocal step
        step += 1
        network.zero_grad(set_to_none=True)
        with torch.set_grad_enabled(name.startswith('stage')):
            terms = losses()
        if terms:
            sum(terms.values()).backward()

    return run


def compare(frames: int, batch: int, device: torch.device) -> tuple[float, float]:
    """Largest differences between both implementations, of outputs and of gradient norms relative to the largest."""
    poses = inputs(frames, batch, device)
    output_difference = 0.0
    gradient_difference = 0.0
    for stage in NETWORKS:
        ours = build(stage, False, frames, device)
        literal = build(stage, True, frames, device)
        if stage == 'stage1':
            masks = draw(False, poses, 0)
            literal_form = [(mask.joints[0], mask.frames[0]) for mask in masks]
            outputs = fill(ours, False, poses, masks)
            literal_outputs = fill(literal, True, poses, literal_form)
        else:
            outputs = list(lift(ours, False, poses[0]).values())
            literal_outputs = list(lift(literal, True, poses[0]).values())
        for output, literal_output in zip(outputs, literal_outputs):
            difference = (output - literal_output).abs().max().item()
            output_difference = max(output_difference, difference)
        sum(output.square().mean() for output in outputs).backward()
        sum(output.square().mean() for output in literal_outputs).backward()
        gradient_difference = max(gradient_difference, largest_gradient_difference(ours, literal))
    assert output_difference < 1e-4 and gradient_difference < 1e-4, (
        f'{frames} frames: outputs differ by {output_difference}, gradients by {gradient_difference}'
    )
    return output_difference, gradient_difference


def largest_gradient_difference(ours: nn.Module, literal: nn.Module) -> float:
    """Largest norm of a difference of gradients, relative to the largest norm of a gradient."""
    parameters = dict(ours.named_parameters())
    norms = []
    differences = []
    for key, parameter in literal.named_parameters():
        gradient = parameters[ours.official_key(key)].grad
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            norms.append(parameter.grad.norm())
            differences.append((parameter.grad - gradient).norm())
    return (max(differences) / max(norms)).item()


def measure(
    name: str, literal: bool, frames: int, batch: int, repeat: int, device_name: str
) -> tuple[float, float]:
    """Frames per second, the best of several runs, and MiB."""
    use_one_thread()
    device = torch.device(device_name)
    stage = 'stage2' if name in ('lift', 'stage2') else 'stage1'
    network = build(stage, literal, frames, device).train(name.startswith('stage'))
    run = task_of(name, network, literal, inputs(frames, batch, device))
    if device.type == 'cuda':
        run()  # the first call of a process also loads libraries, which are no activations of the network
        network.zero_grad(set_to_none=True)
    peak = peak_mib(run, device)
    seconds = best_ms(run, repeat, device, warm_up=0) / 1000
    poses = batch * frames
    if stage == 'stage1':
        poses *= len(KINDS)
    return poses / seconds, peak


def main(arguments: Optional[list[str]] = None) -> None:
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
    args = parser.parse_args(arguments)
    use_one_thread()
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
                setting = (name, literal, frames, batch, args.repeat, args.device)
                with context.Pool(1) as pool:
                    rows.append(pool.apply(measure, setting))
            (speed, memory), (literal_speed, literal_memory) = rows
            record(
                f'MPM, {name}, 1000 poses in windows of {frames}',
                1e6 / speed,
                1e6 / literal_speed,
                'literal/mpm.py',
            )
            print(
                f'{frames:6d} {batch:5d} {name:<7} {speed:15.0f} {literal_speed:9.0f} '
                f'{speed / literal_speed:6.2f} {memory:10.0f} {literal_memory:8.0f}',
                flush=True,
            )
        print(
            f'       largest difference of outputs {difference[0]:.1e}, of gradients {difference[1]:.1e}',
            flush=True,
        )


if __name__ == '__main__':
    main()
