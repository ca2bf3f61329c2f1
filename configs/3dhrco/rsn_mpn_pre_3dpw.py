# Pre-adaptation of RSC-Net ("RSN") by MPS-Net on 3DPW (Table 2, sigma 35, epoch 601). The teacher keeps the image
# features of SPIN, with which it was trained.
_base_ = './spin_mpn_pre_3dpw.py'

estimator = dict(_delete_=True, type='RSCNet', weights='data/rsc_net/RSC-Net.pt', body=_base_.estimator.body)
adapter = dict(teacher=dict(features=_base_.estimator))
