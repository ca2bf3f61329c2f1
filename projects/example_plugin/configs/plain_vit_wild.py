# BOA of the transformer on the free wild stream. Its weights are random: the config shows the parts, not a result.
_base_ = '../../../configs/boa/r18_wild.py'
estimator = dict(_delete_=True, type='PlainViT', resolution=112)
