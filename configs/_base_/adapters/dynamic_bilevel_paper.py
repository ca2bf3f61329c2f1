# DynaBOA's rates as released for 3DPW (Guan et al. 2022): the defaults of the code's command line, which its script for
# 3DPW keeps. The name of the command-line flag stands beside each value.
dynamic_bilevel = dict(
    type='DynamicBilevel',
    lr=3e-6, adam_betas=(0.5, 0.9),  # lr; beta1, beta2
    inner_lr=8e-6, order='first',  # fastlr; first_order of its MAML wrapper, although BOA's paper asks for second
    weights=dict(keypoints2d=10.0,  # s2dloss_weight
                 shape_prior=2e-6, pose_prior=1e-4,  # shape_prior 2e-4 in the script for internet videos
                 source=0.1, motion=0.8, teacher=0.1),  # labelloss, motionloss, teacherloss
    interval=5, teacher_keep=0.1,  # interval, alpha
    threshold=3.1e-4, max_extra=7,  # cos_sim_threshold (0.002 in the first release), optim_steps
    # `exemplars`, one per look-up from Human3.6M, name licensed data: see docs/en/adapters/dynamic_bilevel.md.
    pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl'),
    reset='never')  # no reset between videos
