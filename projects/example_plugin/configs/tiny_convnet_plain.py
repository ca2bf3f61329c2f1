# The first stage of the start model's recipe with another backbone.
_base_ = '../../../configs/hmr/r18_plain.py'
model = dict(estimator=dict(backbone=dict(_delete_=True, type='TinyConvNet')))
