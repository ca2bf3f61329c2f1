# The free start model on images of its own domain under a universal perturbation that was crafted on itself by
#   python tools/craft_uap.py configs/source/r18_wild.py uap/r18_studio_eps16.npz --eps 16
# (the paper crafts its own on an equivalent network). The paper's bounds are 4, 8 and 16 grey levels;
# smaller ones scale this pattern.
_base_ = './r18_wild.py'

dataset = dict(
    _delete_=True, type='Transformed', dataset=dict(_base_.dataset, domain='studio'),
    transforms=[
        dict(type='CropTo', resolution=112),
        dict(type='AddPerturbation', file='{{ fileDirname }}/uap/r18_studio_eps16.npz', eps=16)])
