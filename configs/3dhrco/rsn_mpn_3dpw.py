# 3DHR-Co on 3DPW, RSC-Net ("RSN") taught by MPS-Net (Table 3, sigma 35). The teacher keeps the image features of SPIN,
# with which it was trained.
_base_ = './spin_mpn_3dpw.py'

estimator = dict(_delete_=True, type='RSCNet', weights='data/rsc_net/RSC-Net.pt', body=_base_.estimator.body)
adapter = dict(pre=dict(teacher=dict(features=_base_.estimator)))
