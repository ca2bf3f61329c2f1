# The gate's training on the looks of the wild, which neither backbone nor regressor of the start model has seen: there
# a map of the person has something to tell. The motion clips stay the training split's. The gate opens from zero and
# has few steps for it, hence its own rate. The first training draws the views, 20 minutes on two busy cores.
_base_ = './foreground_gate_open.py'

_looks = dict(shifts=('camera', 'shape', 'background', 'clothing', 'light', 'blur', 'low_resolution', 'occluders'))
train_dataloader = dict(dataset=dict(**_looks, length=38_400, seed=3))  # of 600 steps: every view is seen once
val_dataloader = dict(dataset=_looks)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(fusion=dict(lr_mult=10.0))))
