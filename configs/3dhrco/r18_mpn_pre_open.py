# Pre-adaptation of the free start model by the free MPS-Net on the free wild stream.
_base_ = ['../_base_/3dhrco_open.py', '../_base_/teachers/mpsnet_open.py']
adapter = dict(teacher={{_base_._teacher}})
