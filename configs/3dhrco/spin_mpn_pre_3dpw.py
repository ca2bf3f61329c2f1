# Pre-adaptation of SPIN by MPS-Net on 3DPW (Table 1, sigma 35, epoch 601).
_base_ = ['../source/spin_3dpw.py', '../_base_/adapters/pre_adapt_paper.py']

adapter = _base_.pop('pre_adapt')
