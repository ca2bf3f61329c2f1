# The official SPIN (Kolotouros et al., ICCV 2019) and SMPL's files, below data/.
estimator = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=50),
    resolution=224,
    weights='data/spin/model_checkpoint.pt',
    body=dict(type='BodyModel', file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
              extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy'))
