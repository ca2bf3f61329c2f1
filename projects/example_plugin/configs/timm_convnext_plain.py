# The same recipe with a network of timm; needs pip install hrtk-example[timm].
_base_ = '../../../configs/hmr/r18_plain.py'
model = dict(estimator=dict(backbone=dict(_delete_=True, type='TimmBackbone', model='convnext_atto')))
