# The official RSC-Net (Xu et al., ECCV 2020) and SMPL's files, below data/. Its argument `size` (default 224) is the
# number of pixels across the person that carry detail. Below 224, crops are reduced to `size` and the network uses its
# gains of that size.
_base_ = './spin.py'

estimator = dict(
    _delete_=True, type='RSCNet', weights='data/rsc_net/RSC-Net.pt', body=_base_.estimator.body)
