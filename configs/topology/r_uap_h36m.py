# R -> UAP-H3M of Rakesh et al.: the real source model on Human3.6M (protocol 2) under a universal perturbation of its
# crops, with masks by background subtraction. The paper crafts the perturbation on an equivalent network, after GD-UAP:
#   python tools/craft_uap.py configs/source/spin_3dpw.py data/topology/uap_h36m.npz --eps 8
# Other bounds (4, 16) scale this pattern.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/latent_r50.py', '../_base_/datasets/h36m_p2.py',
    '../_base_/adapters/topology_paper.py']

dataset = dict(
    _delete_=True, type='Transformed', dataset=_base_.dataset, transforms=[
        dict(type='WithMasks', source=dict(type='BackgroundSubtraction')),
        dict(type='CropTo', resolution=224),
        dict(type='AddPerturbation', file='data/topology/uap_h36m.npz', eps=8)])
