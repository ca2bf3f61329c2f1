# The official RSC-Net (Xu et al., ECCV 2020) and SMPL's files, below data/. Below 224, `size` is how many pixels across
# the person carry detail: crops are reduced to it, and the network's gains of that size are used.
estimator = dict(
    type='RSCNet',
    size=224,
    weights='data/rsc_net/RSC-Net.pt',
    body=dict(type='BodyModel', file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
              extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy'))
