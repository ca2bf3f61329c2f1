# BOA's rates as published for 3DPW (Guan et al. 2021, section 4, "Training details"). Values marked "code" are missing
# in the paper and come from the released code.
bilevel = dict(
    type='Bilevel',
    lr=3e-6, adam_betas=(0.5, 0.999),  # eta; for 3DHP 2e-6 and (0.2, 0.999)
    inner_lr=8e-6,  # alpha, code
    steps=1,  # T
    order='second',
    weights=dict(keypoints2d=10.0,  # gamma1
                 shape_prior=2e-6, pose_prior=1e-4,  # gamma2 = 1 stands for these two of the code
                 source=0.1,  # gamma3
                 motion=0.1, teacher=0.1),  # mu1, mu2
    source_labels='measured',  # joints of motion capture with their confidences, code
    interval=5,  # tau, code
    teacher_keep=0.1,  # delta, code
    teacher_update='frame',  # Algorithm 1, line 11
    pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl'),
    reset='never')  # the paper treats all videos as one stream, without a reset between them
