# The network of Rakesh et al., NeurIPS 2021 (section 4): a ResNet-50 that regresses latents of the pose prior, shape
# and camera. The bundled prior stands for theirs, which learned from CMU's and Human3.6M's MoShed poses.
estimator = dict(
    type='LatentHMR',
    backbone=dict(type='ResNet', depth=50),
    head=dict(type='LatentRegressor', hidden=1024, layers=2),  # HMR's sizes: the paper states none
    prior=dict(type='PoseAutoEncoder', latent=32, weights='open'),
    resolution=224,
    body=dict(type='BodyModel', file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
              extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy'))
