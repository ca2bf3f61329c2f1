# Completion of partial 3D poses, trained on single limbs and three random joints hidden throughout a window.
_base_ = './complete2d_open.py'

model = dict(task='complete3d', parts=['right_leg', 'left_leg', 'left_arm', 'right_arm', 3], test=3)
val_evaluator = dict(protocol='completion3d')
