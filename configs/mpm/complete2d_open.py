# Completion from partial 2D poses to complete 3D poses, trained on limbs and six random joints that are hidden
# throughout a window.
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_open.py']

model = dict(
    type='CompletionTraining', task='complete2d', network=dict(type='MPMStage1', decoder_layers=2),
    parts=['right_leg+left_leg', 'left_arm+right_arm', 'left_leg+left_arm', 'right_leg+right_arm', 6], test=6)
val_evaluator = dict(protocol='completion2d')
