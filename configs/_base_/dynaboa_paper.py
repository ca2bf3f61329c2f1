# DynaBOA as released for 3DPW (Guan et al. 2022): BOA's network and files, its own rates. Its first-order gradient,
# dynamic steps and losses are those of the code that gave the published numbers.
_base_ = './boa_paper.py'

_bilevel = {{_base_.adapter}}
adapter = dict(
    _delete_=True, type='DynamicBilevel',
    lr=3e-6, adam_betas=(0.5, 0.9), inner_lr=8e-6, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=2e-6, pose_prior=1e-4, source=0.1, motion=0.8, teacher=0.1),
    interval=5, teacher_keep=0.1,
    threshold=3.1e-4, max_extra=7,
    exemplars=None,  # the paper retrieves from Human3.6M; a bank is built by tools/build_retrieval_bank.py
    pose_prior=dict(type='GMMPosePrior', file='data/spin/gmm_08.pkl'),
    reset='never')
