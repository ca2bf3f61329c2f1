# Silhouette topology of SPIN on 3DPW with your own masks, one PNG per frame below data/3dpw_masks/<sequence>. The
# rates are those of the paper (Rakesh et al., NeurIPS 2021, section 4), which trained its own source network and does
# not state the number of iterations. The pose prior is the bundled one: it has SMPL's joints, but none of the paper's
# motion data.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/threedpw_spin.py']

dataset = dict(
    _delete_=True, type='Transformed', dataset=_base_.dataset,
    transforms=[dict(type='WithMasks', source=dict(
        type='MaskFiles', folder='data/3dpw_masks', pattern='{name}/{index:06d}.png'))])
evaluator = dict(silhouettes=True)
custom_hooks = [dict(type='MaskFigureHook')]
adapter = dict(
    type='TopologyAdapter', mode='set', iterations=10000, batch=16,
    every=4, fitting_steps=10, fitting_rate=1e-2,  # K, MaxIter_opt; lr of the fits is not the paper's, see the class
    lr=1e-6, silhouette='chamfer', topology='chamfer')
