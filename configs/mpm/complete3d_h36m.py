# Completion of partial 3D poses: single limbs and three random joints are hidden throughout a window.
_base_ = './complete2d_h36m.py'

model = dict(task='complete3d', parts=['right_leg', 'left_leg', 'left_arm', 'right_arm', 3], test=3)
test_evaluator = dict(protocol='completion3d')
