# R -> LR-3DPW of Rakesh et al.: the real source model on 3DPW's crops of 224 px, reduced to 96, 52 or 32 px and
# enlarged again, with your own masks, reduced alike.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/latent_r50.py', '../_base_/datasets/threedpw_spin.py',
    '../_base_/adapters/topology_paper.py']

dataset = dict(
    _delete_=True, type='Transformed', dataset=_base_.dataset, transforms=[
        dict(type='WithMasks', source=dict(
            type='MaskFiles', folder='data/3dpw_masks', pattern='{name}/{index:06d}.png')),
        dict(type='CropTo', resolution=224),
        dict(type='LowResolution', width=32)])
