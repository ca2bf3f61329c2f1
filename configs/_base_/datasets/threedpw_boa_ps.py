# 3DPW #PS from the files that BOA made of it (one npz per sequence, 49 projected true joints). List the files in
# `dataset.file` to get the published order of the stream. The same from the raw data, in that order:
# threedpw.py.
_base_ = './threedpw.py'

dataset = dict(
    _delete_=True, type='SPINFile', file='data/boa/3dpw_vid/*.npz', image_root='data/3dpw', keypoints='gt')
evaluator = dict(bodies=dict(
    _delete_=True, male=_base_.evaluator.bodies.male, female=_base_.evaluator.bodies.female))
