# S -> R of Rakesh et al.: Algorithm 1 on Theta = {phi, beta, R, s, t} over the real domain, Human3.6M's training set
# with masks by background subtraction and MPII with your own masks; then 3DPW, which it does not learn from.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/latent_r50.py', '../_base_/datasets/threedpw_spin.py',
    '../_base_/adapters/topology_paper.py']

_h36m = dict(type='SPINFile', file='data/spin/h36m_train.npz', image_root='data/h36m', keypoints='annotated', fps=10.0)
_mpii = dict(type='SPINFile', file='data/spin/mpii_train.npz', image_root='data/mpii', keypoints='annotated')
adapter = dict(tracks=16, target=[
    dict(type='Transformed', dataset=_h36m, transforms=[
        dict(type='WithMasks', source=dict(type='BackgroundSubtraction'))]),
    dict(type='Transformed', dataset=_mpii, transforms=[
        dict(type='WithMasks', source=dict(type='MaskFiles', folder='data/mpii_masks', pattern='{id}.png'))])])
