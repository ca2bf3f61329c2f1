"""Constants are made once per device and precision, and take part in gradients."""

import torch

from hrtk.geometry.constants import constant, indices
from hrtk.geometry.uploads import upload


def test_kept_by_value_and_precision():
    like = torch.zeros(1)
    assert indices((2, 0), like) is indices((2, 0), like) is not indices((0, 2), like)
    assert indices((2, 0), like).tolist() == [2, 0] and indices((), like).dtype == torch.int64
    assert constant((0.5, 1.0), like).dtype == torch.float32
    assert constant((0.5, 1.0), like.double()).dtype == torch.float64
    assert constant((0.1,), like.double()).item() == 0.1


def test_first_use_in_inference_mode_does_not_forbid_gradients():
    with torch.inference_mode():
        constant((3.25, 4.5), torch.zeros(1))
    values = torch.ones(2, requires_grad=True)
    (values * constant((3.25, 4.5), values)).sum().backward()
    assert values.grad.tolist() == [3.25, 4.5]


def test_upload_to_the_cpu_copies_nothing():
    tensor = torch.zeros(3)
    assert upload(tensor, torch.device('cpu')) is tensor
