# BOA as published for 3DPW (Guan et al. 2021, section 4, "Training details"; what the paper leaves out is from its
# released code): its network and files under data/, its rates.
estimator = dict(
    type='HMR',
    backbone=dict(type='ResNet', depth=50, norm='gn', groups=4),
    resolution=224,
    weights='data/boa/basemodel.pt',
    body=dict(type='BodyModel', file='data/body_models/smpl/SMPL_NEUTRAL.pkl',
              extra_regressor='data/spin/J_regressor_extra.npy', h36m_regressor='data/spin/J_regressor_h36m.npy'))
adapter = dict(
    type='Bilevel',
    lr=3e-6, adam_betas=(0.5, 0.999),  # eta; for 3DHP 2e-6 and (0.2, 0.999)
    inner_lr=8e-6,  # alpha, code
    steps=1,  # T
    order='second',
    weights=dict(keypoints2d=10.0,  # gamma1
                 shape_prior=2e-6, pose_prior=1e-4,  # gamma2 = 1 stands for these two of the code
                 source=0.1,  # gamma3
                 motion=0.1, teacher=0.1),  # mu1, mu2
    interval=5,  # tau, code
    teacher_keep=0.1,  # delta, code
    pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl'),
    reset='never')  # the paper's stream is one: nothing returns to the start between videos
