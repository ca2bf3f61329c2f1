# DynaBOA as released for 3DPW (Guan et al. 2022): BOA's network and files, its own rates. Its first-order gradient,
# dynamic steps and losses are those of the code that gave the published numbers.
_base_ = './boa_paper.py'

_bilevel = {{_base_.adapter}}
# The command line's defaults in the code, which its script for 3DPW keeps; the flag's name beside each.
adapter = dict(
    _delete_=True, type='DynamicBilevel',
    lr=3e-6, adam_betas=(0.5, 0.9),  # lr; beta1, beta2
    inner_lr=8e-6, order='first',  # fastlr; first_order of its MAML wrapper, although BOA's paper asks for second
    weights=dict(keypoints2d=10.0,  # s2dloss_weight
                 shape_prior=2e-6, pose_prior=1e-4,  # shape_prior 2e-4 in the script for internet videos
                 source=0.1, motion=0.8, teacher=0.1),  # labelloss, motionloss, teacherloss
    interval=5, teacher_keep=0.1,  # interval, alpha
    threshold=3.1e-4, max_extra=7,  # cos_sim_threshold (0.002 in the first release), optim_steps
    exemplars=None,  # one per look-up from Human3.6M: the folder of a bank by tools/build_retrieval_bank.py
    pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl'),
    reset='never')  # nothing returns to the start between videos
