# 3DPW's test set in SPIN's layout, for models that need no 2D keypoints (the file has none): MPJPE and PA-MPJPE as SPIN
# and RSC-Net report them.
_base_ = './threedpw.py'

dataset = dict(
    _delete_=True, type='SPINFile', file='data/spin/3dpw_test.npz', image_root='data/3dpw', keypoints='none')
evaluator = dict(
    protocol='spin_3dpw',
    bodies=dict(_delete_=True, male=_base_.evaluator.bodies.male, female=_base_.evaluator.bodies.female))
