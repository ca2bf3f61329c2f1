# Training of the gate on the looks of the wild, with which neither backbone nor regressor of the start model was
# trained. The motion clips are those of the training split. The gate starts at zero and has few steps, hence its own
# learning rate. The first training renders the views: 20 minutes on two busy cores.
_base_ = './foreground_gate_open.py'

_looks = dict(shifts=('camera', 'shape', 'background', 'clothing', 'light', 'blur', 'low_resolution', 'occluders'))
train_dataloader = dict(dataset=dict(**_looks, length=38_400, seed=3))  # of 600 steps: every view is used once
val_dataloader = dict(dataset=_looks)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(fusion=dict(lr_mult=10.0))))
