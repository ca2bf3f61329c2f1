# Pre-adaptation of SPIN by MPS-Net on 3DPW (Table 1, sigma 35, epoch 601).
_base_ = '../_base_/3dhrco_paper.py'
adapter = dict(teacher={{_base_._mpn}})
