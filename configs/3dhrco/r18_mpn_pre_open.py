# Pre-adaptation of the free start model on the free wild stream, with the free MPS-Net as teacher.
_base_ = ['../source/r18_wild.py', '../_base_/adapters/pre_adapt_open.py', '../_base_/teachers/mpsnet_open.py']

adapter = dict(_base_.pop('pre_adapt'), teacher=_base_.pop('teacher'))
